package saga

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/hack/bench/internal/procfs"
	"ecommerce-stack.dev/services/event"
)

// How much of the pipeline goes on at once. Window and Clients are those of the
// scenarios, too; the sizes of batches are the services'.
const (
	// Clients place orders, each the next one when the last is accepted.
	Clients = 64
	// Window bounds the orders whose saga has not ended.
	Window = 1024

	maxBatch   = 256
	linger     = 2 * time.Millisecond
	committers = 2
)

// drainTime bounds the wait for the sagas under way at the end.
const drainTime = time.Minute

// Pipeline is baseline B4: B1 and B2 in one process, the ceiling of the saga on this
// machine. Clients are accepted, events go through the broker, consumers take batches.
type Pipeline struct {
	Place Place
	// Label and Mix of the orders.
	Label string
	Mix   mix.Mix
	// Together accepts orders that come at the same time in one transaction; otherwise
	// each has a transaction of its own.
	Together bool
}

// Name implements measure.Measurement.
func (m Pipeline) Name() string {
	if m.Together {
		return "saga/together-" + m.Label
	}
	return "saga/each-" + m.Label
}

// About implements measure.Measurement.
func (m Pipeline) About() string {
	how := "a transaction per accepted order"
	if m.Together {
		how = "concurrent orders accepted in one transaction"
	}
	return fmt.Sprintf("B4: SQL and broker in one process, %s, %s, %d clients, at most %d sagas under way", how, m.Label, Clients, Window)
}

// run is one run of a Pipeline.
type run struct {
	Pipeline
	books        *Books
	sales, stock *publisher
	waiting      chan waiting
	places       chan struct{}
	accepted     atomic.Int64
	ended        atomic.Int64
}

// waiting is an order that waits to be accepted.
type waiting struct {
	order Order
	done  chan error
}

// Measure implements measure.Measurement.
func (m Pipeline) Measure(ctx context.Context, d time.Duration) (_ []measure.Figure, err error) {
	r := &run{Pipeline: m, waiting: make(chan waiting), places: make(chan struct{}, Window)}
	if r.books, err = Open(m.Place.DSN, m.Place.Sales, m.Place.Stock, Clients+8); err != nil {
		return nil, err
	}
	defer func() { err = firstOf(err, r.books.Close()) }()
	if r.sales, err = newPublisher(m.Place.AMQP, func(s Message) { r.books.saleEvents.published(s) }); err != nil {
		return nil, err
	}
	defer func() { err = firstOf(err, r.sales.close(ctx)) }()
	if r.stock, err = newPublisher(m.Place.AMQP, func(s Message) { r.books.stockEvents.published(s) }); err != nil {
		return nil, err
	}
	defer func() { err = firstOf(err, r.stock.close(ctx)) }()
	before, err := m.Place.cpu()
	if err != nil {
		return nil, err
	}
	took, err := r.run(ctx, d)
	if err != nil {
		return nil, err
	}
	after, err := m.Place.cpu()
	if err != nil {
		return nil, err
	}
	orders := float64(r.ended.Load())
	figures := []measure.Figure{{Name: "orders", Unit: "/s", Value: orders / took.Seconds()}}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		figures = append(figures, measure.Figure{Name: "CPU " + name, Unit: "ms/order", Value: (after[name] - before[name]).Seconds() * 1000 / max(1, orders)})
	}
	return figures, nil
}

// cpu is what the servers and this process have used so far.
func (p Place) cpu() (map[string]time.Duration, error) {
	own, err := procfs.Alone(os.Getpid())
	if err != nil {
		return nil, err
	}
	used := map[string]time.Duration{"bench": own.CPU}
	for name, pid := range p.Servers {
		u, err := procfs.Of(pid)
		if err != nil {
			return nil, err
		}
		used[name] = u.CPU
	}
	return used, nil
}

// run lets clients place orders for d, waits until all sagas have ended, and returns
// how long that took.
func (r *run) run(ctx context.Context, d time.Duration) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+drainTime)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	working, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error { return r.consume(working, event.StockQueue, r.decide) })
	group.Go(func() error { return r.consume(working, event.SalesQueue, r.apply) })
	for range committers {
		group.Go(func() error { return r.commit(working) })
	}
	began := time.Now()
	clients, placing := errgroup.WithContext(ctx)
	for i := range Clients {
		clients.Go(func() error { return r.client(placing, uint64(i), began.Add(d)) })
	}
	group.Go(func() error {
		defer stop()
		if err := clients.Wait(); err != nil {
			return err
		}
		for range Window { // Every saga that ends gives its place back.
			select {
			case r.places <- struct{}{}:
			case <-ctx.Done():
				return fmt.Errorf("%d of %d sagas have ended: %w", r.ended.Load(), r.accepted.Load(), ctx.Err())
			}
		}
		took = time.Since(began)
		return nil
	})
	err = group.Wait()
	return took, err
}

func (r *run) client(ctx context.Context, seed uint64, until time.Time) error {
	draw := newDraw(r.Mix, seed)
	for time.Now().Before(until) {
		select {
		case r.places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.place(ctx, draw.order()); err != nil {
			return err
		}
		r.accepted.Add(1)
	}
	return nil
}

func (r *run) place(ctx context.Context, o Order) error {
	if !r.Together {
		return r.accept(ctx, []Order{o})
	}
	w := waiting{o, make(chan error, 1)}
	select {
	case r.waiting <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-w.done
}

// accept commits orders and lets their events go.
func (r *run) accept(ctx context.Context, orders []Order) error {
	said, err := r.books.Accept(ctx, orders)
	if err != nil {
		return err
	}
	return r.sales.publish(ctx, event.Exchange, byType, said...)
}

// commit accepts together what waits: what comes while one transaction commits is in
// the next.
func (r *run) commit(ctx context.Context) error {
	for {
		var batch []waiting
		select {
		case w := <-r.waiting:
			batch = append(batch, w)
		case <-ctx.Done():
			return nil
		}
		for more := true; more && len(batch) < maxBatch; {
			select {
			case w := <-r.waiting:
				batch = append(batch, w)
			default:
				more = false
			}
		}
		orders := make([]Order, len(batch))
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

// decide is what stock does.
func (r *run) decide(ctx context.Context, batch []event.Envelope) error {
	said, err := r.books.Stock(ctx, batch)
	if err != nil {
		return err
	}
	return r.stock.publish(ctx, event.Exchange, byType, said...)
}

// apply is what sales does.
func (r *run) apply(ctx context.Context, batch []event.Envelope) error {
	said, ended, err := r.books.Sales(ctx, batch)
	if err != nil {
		return err
	}
	if err := r.sales.publish(ctx, event.Exchange, byType, said...); err != nil {
		return err
	}
	r.ended.Add(int64(ended))
	for range ended {
		<-r.places
	}
	return nil
}

func byType(m Message) string { return m.Type }

// consume hands batches of a queue to do and acknowledges what that committed.
func (r *run) consume(ctx context.Context, queue string, do func(context.Context, []event.Envelope) error) error {
	conn, ch, deliveries, err := subscribe(r.Place.AMQP, queue, 2*maxBatch)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		batch, err := take(ctx, deliveries, maxBatch, linger)
		if err != nil || len(batch) == 0 {
			return err
		}
		envelopes := make([]event.Envelope, len(batch))
		for i, d := range batch {
			if err := json.Unmarshal(d.Body, &envelopes[i]); err != nil {
				return err
			}
		}
		if err := do(ctx, envelopes); err != nil {
			return err
		}
		if err := ch.Ack(batch[len(batch)-1].DeliveryTag, true); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
}
