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

// Pipeline is baseline B4: B1 and B2 in one process, which is the maximum rate of the saga on
// this machine. Orders of clients are accepted, events are sent through the broker, and
// consumers handle batches.
type Pipeline struct {
	Environment Environment
	// Label is the name of Mix, which generates the orders.
	Label string
	Mix   mix.Mix
	// Together accepts concurrent orders in one transaction; otherwise each order has a
	// separate transaction.
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
	return fmt.Sprintf("B4: SQL and broker in one process, %s, %s, %d clients, at most %d concurrent sagas", how, m.Label, Clients, Window)
}

// run is a run of a Pipeline.
type run struct {
	Pipeline
	database     *Database
	sales, stock *publisher
	waiting      chan waiting
	slots        chan struct{}
	accepted     atomic.Int64
	ended        atomic.Int64
}

// waiting is an order that has not been accepted.
type waiting struct {
	order Order
	done  chan error
}

// Measure implements measure.Measurement.
func (m Pipeline) Measure(ctx context.Context, d time.Duration) (_ []measure.Figure, err error) {
	r := &run{Pipeline: m, waiting: make(chan waiting), slots: make(chan struct{}, Window)}
	if r.database, err = Open(m.Environment.DSN, m.Environment.Sales, m.Environment.Stock, Clients+8); err != nil {
		return nil, err
	}
	defer func() { err = firstError(err, r.database.Close()) }()
	if r.sales, err = newPublisher(m.Environment.AMQP, func(s Message) { r.database.saleEvents.published(s) }); err != nil {
		return nil, err
	}
	defer func() { err = firstError(err, r.sales.close(ctx)) }()
	if r.stock, err = newPublisher(m.Environment.AMQP, func(s Message) { r.database.stockEvents.published(s) }); err != nil {
		return nil, err
	}
	defer func() { err = firstError(err, r.stock.close(ctx)) }()
	before, err := m.Environment.cpu()
	if err != nil {
		return nil, err
	}
	took, err := r.run(ctx, d)
	if err != nil {
		return nil, err
	}
	after, err := m.Environment.cpu()
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

// cpu returns the CPU time of the servers and of this process.
func (p Environment) cpu() (map[string]time.Duration, error) {
	own, err := procfs.OfProcess(os.Getpid())
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

// run places orders for d, waits until all sagas have ended, and returns the elapsed time.
func (r *run) run(ctx context.Context, d time.Duration) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+drainTimeout)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	consumeCtx, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error { return r.consume(consumeCtx, event.StockQueue, r.decide) })
	group.Go(func() error { return r.consume(consumeCtx, event.SalesQueue, r.apply) })
	for range committers {
		group.Go(func() error { return r.commit(consumeCtx) })
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
		for range Window { // Every saga that ends releases its slot.
			select {
			case r.slots <- struct{}{}:
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
	generator := newOrderGenerator(r.Mix, seed)
	for time.Now().Before(until) {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.place(ctx, generator.order()); err != nil {
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

// accept commits orders and publishes their events.
func (r *run) accept(ctx context.Context, orders []Order) error {
	messages, err := r.database.Accept(ctx, orders)
	if err != nil {
		return err
	}
	return r.sales.publish(ctx, event.Exchange, byType, messages...)
}

// commit accepts waiting orders together. Orders that arrive during a commit are part of the
// next transaction.
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

// decide handles a batch as the stock service does.
func (r *run) decide(ctx context.Context, batch []event.Envelope) error {
	messages, err := r.database.Stock(ctx, batch)
	if err != nil {
		return err
	}
	return r.stock.publish(ctx, event.Exchange, byType, messages...)
}

// apply handles a batch as the sales service does.
func (r *run) apply(ctx context.Context, batch []event.Envelope) error {
	messages, ended, err := r.database.Sales(ctx, batch)
	if err != nil {
		return err
	}
	if err := r.sales.publish(ctx, event.Exchange, byType, messages...); err != nil {
		return err
	}
	r.ended.Add(int64(ended))
	for range ended {
		<-r.slots
	}
	return nil
}

func byType(m Message) string { return m.Type }

// consume calls do with batches of a queue and acknowledges them when do has committed.
func (r *run) consume(ctx context.Context, queue string, do func(context.Context, []event.Envelope) error) error {
	conn, ch, deliveries, err := subscribe(r.Environment.AMQP, queue, 2*maxBatch)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		batch, err := receive(ctx, deliveries, maxBatch, linger)
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
