// Package saga implements baselines B1, B2 and B4, which measure the cost of an order in
// the database and the broker alone: they write the rows and messages of the saga without
// an ORM and without HTTP to tables that the services' migrations create.
//
// A sale takes five transactions and four messages, as in the services: accept
// (SaleCreated), reserve (SaleItemsReservedResponse), confirm (SaleConfirmed), remove
// (StockReleased), and the timeline entry of StockReleased. Each is one transaction for a
// whole batch, with outbox rows.
package saga

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	randv2 "math/rand/v2"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/services/event"
)

// Environment contains the servers and schemas of the baselines.
type Environment struct {
	// DSN is the administrator's DSN. Sales and Stock are schemas that the services'
	// migrations have created, with stock of mix.Products products.
	DSN, Sales, Stock string
	// AMQP is the URL of a separate virtual host.
	AMQP string
	// Servers are the process IDs of the database and the broker by name.
	Servers map[string]int
}

// Measurements returns all measurements. The environment is only used when they run.
func Measurements(e *Environment) []measure.Measurement {
	var all []measure.Measurement
	for _, batch := range []int{1, 16, 64, 256} {
		all = append(all, measure.Measurement{Name: fmt.Sprintf("sql/batch-%d", batch), Measure: sqlBaseline{e, batch}.measure,
			About: fmt.Sprintf("B1: the saga's writes as raw SQL, %d orders a transaction, %d concurrent transactions, uniform", batch, concurrentBatches)})
	}
	for _, inFlight := range []int{1, 200, 1000} {
		all = append(all, measure.Measurement{Name: fmt.Sprintf("broker/in-flight-%d", inFlight), Measure: brokerBaseline{e, inFlight}.measure,
			About: fmt.Sprintf("B2: publish, confirm, consume and acknowledge through a quorum queue, %d in flight", inFlight)})
	}
	for _, p := range []pipeline{{e, "each-uniform", mix.Uniform, false}, {e, "each-hot", mix.Hot, false}, {e, "together-uniform", mix.Uniform, true}, {e, "together-hot", mix.Hot, true}} {
		how := "a transaction per accepted order"
		if p.together {
			how = "concurrent orders accepted in one transaction"
		}
		all = append(all, measure.Measurement{Name: "saga/" + p.name, Measure: p.measure,
			About: fmt.Sprintf("B4: SQL and broker in one process, %s, %d clients, at most %d concurrent sagas", how, Clients, Window)})
	}
	return all
}

// customers is the number of customers.
const customers = 1000

// newOrder returns a random order. Keys are random, so that runs do not repeat them.
func newOrder(m mix.Mix, r *randv2.Rand) order {
	return order{customer: 1 + r.Int64N(customers), key: rand.Text(), items: m(r)}
}

// concurrentBatches is the number of concurrent batches of SQL, which lets the database
// commit several with one sync.
const concurrentBatches = 8

// sqlBaseline is baseline B1: the writes of the saga. Messages are passed in memory.
type sqlBaseline struct {
	environment *Environment
	batch       int // orders of a transaction
}

func (b sqlBaseline) measure(ctx context.Context, d time.Duration) (_ []measure.Figure, err error) {
	db, err := b.environment.open(concurrentBatches+2, "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.close(context.WithoutCancel(ctx))) }()
	began := time.Now()
	var ended atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for worker := range concurrentBatches {
		random := randv2.New(randv2.NewPCG(uint64(worker), 1))
		group.Go(func() error {
			for time.Since(began) < d {
				orders := make([]order, b.batch)
				for i := range orders {
					orders[i] = newOrder(mix.Uniform, random)
				}
				if err := db.runSaga(ctx, orders); err != nil {
					return err
				}
				ended.Add(int64(b.batch))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return []measure.Figure{{Name: "orders", Unit: "/s", Value: float64(ended.Load()) / time.Since(began).Seconds()}}, nil
}

// runSaga runs the whole saga of orders.
func (d database) runSaga(ctx context.Context, orders []order) error {
	messages, err := d.accept(ctx, orders)
	for step := 0; err == nil && step < 4; step++ {
		publisher := d.sales
		if step%2 == 1 {
			publisher = d.stock
		}
		batch := make([]event.Envelope, len(messages))
		for i, m := range messages {
			if batch[i], err = event.Parse(m.body); err != nil {
				return err
			}
		}
		if err := publisher.publish(ctx, messages...); err != nil {
			return err
		}
		if step%2 == 0 {
			messages, err = d.handleSales(ctx, batch)
		} else {
			messages, _, err = d.handleStock(ctx, batch)
		}
	}
	return err
}

// brokerBaseline is baseline B2: messages with the body of a SaleCreated through a quorum queue
// like those of the services.
type brokerBaseline struct {
	environment *Environment
	inFlight    int
}

func (b brokerBaseline) measure(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	// A message takes two slots: one until it is confirmed, one until it is consumed.
	all := 2 * int64(b.inFlight)
	slots := semaphore.NewWeighted(all)
	p, err := newPublisher(b.environment.AMQP, 1, 0, func([]sent) error { slots.Release(1); return nil })
	if err != nil {
		return nil, err
	}
	consumed := int64(0)
	group, ctx := errgroup.WithContext(ctx)
	consuming, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error {
		return consume(consuming, b.environment.AMQP, roundTrips, b.inFlight, soon, func(batch []amqp.Delivery) error {
			consumed += int64(len(batch))
			slots.Release(int64(len(batch)))
			return nil
		})
	})
	began, took := time.Now(), time.Duration(0)
	group.Go(func() (err error) {
		defer stop()
		defer func() { err = errors.Join(err, p.close(ctx)) }()
		for n := int64(1); time.Since(began) < d; n++ {
			if err := slots.Acquire(ctx, 2); err != nil {
				return err
			}
			m, err := newMessage("sales", event.SaleCreated{SaleID: n, CustomerID: n, Items: []event.Item{{ProductID: 1 + n%1000, Quantity: 1}}}, time.Now().UTC())
			if err != nil {
				return err
			}
			m.Type = roundTrips
			if err := p.publish(ctx, m); err != nil {
				return err
			}
		}
		err = slots.Acquire(ctx, all) // Wait for all messages in flight.
		took = time.Since(began)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	rate := float64(consumed) / took.Seconds()
	return []measure.Figure{{Name: "messages", Unit: "/s", Value: rate}, {Name: "orders", Unit: "/s of 4 messages", Value: rate / 4}}, nil
}
