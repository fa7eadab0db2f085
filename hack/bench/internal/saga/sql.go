package saga

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/services/event"
)

// concurrentBatches is the number of concurrent batches of SQL, which lets the database
// commit several with one sync.
const concurrentBatches = 8

// SQL is baseline B1: the writes of the saga as raw SQL. Messages are passed in memory.
type SQL struct {
	Environment Environment
	// Batch is the number of orders in a transaction.
	Batch int
}

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

// Name implements measure.Measurement.
func (m SQL) Name() string { return fmt.Sprintf("sql/batch-%d", m.Batch) }

// About implements measure.Measurement.
func (m SQL) About() string {
	return fmt.Sprintf("B1: the saga's writes as raw SQL, %d orders a transaction, %d concurrent transactions, uniform", m.Batch, concurrentBatches)
}

// Measure implements measure.Measurement.
func (m SQL) Measure(ctx context.Context, d time.Duration) (_ []measure.Figure, err error) {
	database, err := Open(m.Environment.DSN, m.Environment.Sales, m.Environment.Stock, concurrentBatches+2)
	if err != nil {
		return nil, err
	}
	defer func() { err = firstError(err, database.Close()) }()
	began := time.Now()
	var ended atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for worker := range concurrentBatches {
		group.Go(func() error {
			generator := newOrderGenerator(mix.Uniform, uint64(worker))
			for time.Since(began) < d {
				if err := database.runSaga(ctx, generator.orders(m.Batch)); err != nil {
					return err
				}
				ended.Add(int64(m.Batch))
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
func (b *Database) runSaga(ctx context.Context, orders []Order) error {
	messages, err := b.Accept(ctx, orders)
	for step := 0; err == nil && step < 4; step++ {
		var batch []event.Envelope
		if batch, err = parse(messages); err != nil {
			return err
		}
		if step%2 == 0 {
			b.saleEvents.published(messages...)
			messages, err = b.Stock(ctx, batch)
		} else {
			b.stockEvents.published(messages...)
			messages, _, err = b.Sales(ctx, batch)
		}
	}
	return err
}

func parse(messages []Message) ([]event.Envelope, error) {
	batch := make([]event.Envelope, len(messages))
	for i, m := range messages {
		if err := json.Unmarshal(m.Body, &batch[i]); err != nil {
			return nil, err
		}
	}
	return batch, nil
}
