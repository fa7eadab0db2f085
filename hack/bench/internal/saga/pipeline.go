package saga

import (
	"context"
	"errors"
	"fmt"
	"maps"
	randv2 "math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/hack/bench/internal/usage"
	"ecommerce-stack.dev/services/event"
)

// Concurrency of the pipeline. The scenarios use the same Window and Clients; batches have
// the sizes of those of the services.
const (
	// Clients is the number of clients, each with one request at a time.
	Clients = 64
	// Window is the maximum number of sagas that have not ended.
	Window = 1024

	maxBatch   = 256
	linger     = 2 * time.Millisecond
	committers = 2
)

// drainTimeout is the time limit for the last sagas to end.
const drainTimeout = time.Minute

// pipeline is baseline B4: B1 and B2 in one process, which is the maximum rate of the saga on
// this machine. Orders of clients are accepted, events are sent through the broker, and
// consumers handle batches.
type pipeline struct {
	environment *Environment
	name        string
	mix         mix.Mix
	// together accepts concurrent orders in one transaction; otherwise each order has a
	// separate transaction.
	together bool
}

// run is a run of a pipeline.
type run struct {
	pipeline
	database
	waiting chan waiting
	window  *semaphore.Weighted
	ended   atomic.Int64
}

// waiting is an order that has not been accepted.
type waiting struct {
	order order
	done  chan error
}

func (p pipeline) measure(ctx context.Context, d time.Duration) (_ []measure.Figure, err error) {
	r := &run{pipeline: p, waiting: make(chan waiting), window: semaphore.NewWeighted(Window)}
	if r.database, err = p.environment.open(Clients+8, p.environment.AMQP); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	before, err := usage.OfTrees(p.environment.Servers)
	if err != nil {
		return nil, err
	}
	took, err := r.run(ctx, d)
	if err != nil {
		return nil, err
	}
	after, err := usage.OfTrees(p.environment.Servers)
	orders := float64(r.ended.Load())
	figures := []measure.Figure{{Name: "orders", Unit: "/s", Value: orders / took.Seconds()}}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		figures = append(figures, measure.Figure{Name: "CPU " + name, Unit: "ms/order", Value: (after[name].CPU - before[name].CPU).Seconds() * 1000 / max(1, orders)})
	}
	return figures, err
}

// run places orders for d, waits until all sagas have ended, and returns the elapsed time.
func (r *run) run(ctx context.Context, d time.Duration) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+drainTimeout)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	consuming, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error { return r.handle(consuming, event.StockQueue, r.decide) })
	group.Go(func() error { return r.handle(consuming, event.SalesQueue, r.apply) })
	for range committers {
		group.Go(func() error { return r.commit(consuming) })
	}
	began := time.Now()
	clients, placing := errgroup.WithContext(ctx)
	for i := range Clients {
		random := randv2.New(randv2.NewPCG(uint64(i), 1))
		clients.Go(func() error {
			for time.Since(began) < d {
				if err := r.window.Acquire(placing, 1); err != nil {
					return err
				}
				if err := r.place(placing, newOrder(r.mix, random)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer stop()
		if err := clients.Wait(); err != nil {
			return err
		}
		if err := r.window.Acquire(ctx, Window); err != nil { // Every saga that ends releases its slot.
			return fmt.Errorf("some sagas have not ended: %w", err)
		}
		took = time.Since(began)
		return nil
	})
	err = group.Wait()
	return took, err
}

func (r *run) place(ctx context.Context, o order) error {
	if !r.together {
		return r.accept(ctx, []order{o})
	}
	w := waiting{o, make(chan error, 1)}
	select {
	case r.waiting <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-w.done
}

// accept commits orders and publishes their events.
func (r *run) accept(ctx context.Context, orders []order) error {
	messages, err := r.database.accept(ctx, orders)
	if err != nil {
		return err
	}
	return r.sales.publish(ctx, messages...)
}

// commit accepts waiting orders together. Orders that arrive during a commit are part of the
// next transaction.
func (r *run) commit(ctx context.Context) error {
	for {
		batch := collect(ctx, r.waiting, maxBatch, soon)
		if len(batch) == 0 {
			return nil
		}
		orders := make([]order, len(batch))
		for i, w := range batch {
			orders[i] = w.order
		}
		err := r.accept(ctx, orders)
		for _, w := range batch {
			w.done <- err
		}
		if err != nil {
			return err
		}
	}
}

// handle calls do with batches of events of a queue.
func (r *run) handle(ctx context.Context, queue string, do func(context.Context, []event.Envelope) error) error {
	return consume(ctx, r.environment.AMQP, queue, maxBatch, linger, func(batch []amqp.Delivery) (err error) {
		envelopes := make([]event.Envelope, len(batch))
		for i, d := range batch {
			if envelopes[i], err = event.Parse(d.Body); err != nil {
				return err
			}
		}
		return do(ctx, envelopes)
	})
}

// decide handles a batch as the stock service does.
func (r *run) decide(ctx context.Context, batch []event.Envelope) error {
	messages, err := r.handleSales(ctx, batch)
	if err != nil {
		return err
	}
	return r.stock.publish(ctx, messages...)
}

// apply handles a batch as the sales service does.
func (r *run) apply(ctx context.Context, batch []event.Envelope) error {
	messages, ended, err := r.handleStock(ctx, batch)
	if err != nil {
		return err
	}
	if err := r.sales.publish(ctx, messages...); err != nil {
		return err
	}
	r.ended.Add(int64(ended))
	r.window.Release(int64(ended))
	return nil
}
