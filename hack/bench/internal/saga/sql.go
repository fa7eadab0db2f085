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

// lanes are how many batches SQL has under way at once, so that the database can
// commit several with one write to the disk.
const lanes = 8

// SQL is baseline B1: the saga's writes as raw SQL, handed from step to step in
// memory.
type SQL struct {
	Place Place
	// Batch is how many orders a transaction takes.
	Batch int
}

// Place is where baselines work.
type Place struct {
	// DSN of the administrator, and two schemas that the services' migrations have
	// made, with mix.Products stocked.
	DSN, Sales, Stock string
	// AMQP is the address of a virtual host of its own.
	AMQP string
	// Servers are the process ids of the database and the broker by name.
	Servers map[string]int
}

// Name implements measure.Measurement.
func (m SQL) Name() string { return fmt.Sprintf("sql/batch-%d", m.Batch) }

// About implements measure.Measurement.
func (m SQL) About() string {
	return fmt.Sprintf("B1: the saga's writes as raw SQL, %d orders a transaction, %d transactions at once, uniform", m.Batch, lanes)
}

// Measure implements measure.Measurement.
func (m SQL) Measure(ctx context.Context, d time.Duration) (_ []measure.Figure, err error) {
	books, err := Open(m.Place.DSN, m.Place.Sales, m.Place.Stock, lanes+2)
	if err != nil {
		return nil, err
	}
	defer func() { err = firstOf(err, books.Close()) }()
	began := time.Now()
	var ended atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for lane := range lanes {
		group.Go(func() error {
			draw := newDraw(mix.Uniform, uint64(lane))
			for time.Since(began) < d {
				if err := books.walk(ctx, draw.orders(m.Batch)); err != nil {
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

// walk takes orders through the whole saga.
func (b *Books) walk(ctx context.Context, orders []Order) error {
	said, err := b.Accept(ctx, orders)
	for step := 0; err == nil && step < 4; step++ {
		var batch []event.Envelope
		if batch, err = parse(said); err != nil {
			return err
		}
		if step%2 == 0 {
			b.saleEvents.published(said...)
			said, err = b.Stock(ctx, batch)
		} else {
			b.stockEvents.published(said...)
			said, _, err = b.Sales(ctx, batch)
		}
	}
	return err
}

func parse(said []Message) ([]event.Envelope, error) {
	batch := make([]event.Envelope, len(said))
	for i, m := range said {
		if err := json.Unmarshal(m.Body, &batch[i]); err != nil {
			return nil, err
		}
	}
	return batch, nil
}
