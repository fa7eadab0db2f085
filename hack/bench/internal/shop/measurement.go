package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/fill"
	"ecommerce-stack.dev/hack/bench/internal/load"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/saga"
	"ecommerce-stack.dev/hack/bench/internal/statistics"
	"ecommerce-stack.dev/hack/bench/internal/wire"
)

// Looks at the sales: seldom in the closed loop, where they only make room for more,
// often in the open one, where they time decisions.
const (
	lookClosed = 50 * time.Millisecond
	lookOpen   = 5 * time.Millisecond
)

// settleTime bounds the wait until everything is decided.
const settleTime = 2 * time.Minute

// Measurement of a scenario: first closed for the maximum and what an order costs,
// then open at half of the maximum for latencies. Either ends when every sale is
// decided and every good has moved, and is checked.
type Measurement struct {
	Shop     *Shop
	Scenario Scenario
	// Commit is what the shop's services were built from, "" for the present source tree.
	Commit string
}

// Name implements measure.Measurement.
func (m Measurement) Name() string { return measure.Twin("shop/"+m.Scenario.Name(), m.Commit) }

// About implements measure.Measurement.
func (m Measurement) About() string {
	through := "the gateway"
	if m.Commit != "" {
		through += " of a system built from " + m.Commit
	}
	return fmt.Sprintf("through %s: %s, %d clients, at most %d sagas under way; then open at half of that", through, m.Scenario.About(), saga.Clients, saga.Window)
}

// Measure implements measure.Measurement.
func (m Measurement) Measure(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	closed, figures, err := m.closed(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("closed loop: %w", err)
	}
	open, err := m.open(ctx, closed.visitRate/2, d)
	if err != nil {
		return nil, fmt.Errorf("open loop: %w", err)
	}
	return append(figures, open...), nil
}

type outcome struct {
	visitRate float64
	orders    int64
}

// closed finds the maximum: sagas that have ended per second, from the first order
// until the last good has moved.
func (m Measurement) closed(ctx context.Context, d time.Duration) (outcome, []measure.Figure, error) {
	before, err := m.Shop.spent(ctx)
	if err != nil {
		return outcome{}, nil, err
	}
	var visits int64
	var took time.Duration
	door, err := m.phase(ctx, lookClosed, saga.Window, func(visit load.Visit) error {
		return m.Shop.profiled(ctx, m.Name(), func() (err error) {
			visits, err = load.Closed(ctx, saga.Clients, d, visit)
			return err
		})
	}, &took)
	if err != nil {
		return outcome{}, nil, err
	}
	after, err := m.Shop.spent(ctx)
	if err != nil {
		return outcome{}, nil, err
	}
	o := outcome{visitRate: float64(visits) / took.Seconds(), orders: door.placed}
	figures := []measure.Figure{{Name: "orders", Unit: "/s", Value: float64(o.orders) / took.Seconds()}}
	if len(door.read) > 0 {
		figures = append(figures, measure.Figure{Name: "reads", Unit: "/s", Value: float64(len(door.read)) / took.Seconds()})
	}
	figures = append(figures, measure.Figure{Name: "confirmed", Unit: "% of orders", Value: 100 * float64(door.watch.decided["Confirmed"]) / float64(max(1, o.orders))})
	figures = append(figures, after.figures(before, o.orders)...)
	figures = append(figures, after.peaks()...)
	return o, append(figures, measure.Figure{Name: "looks at the sales", Unit: "% of the time", Value: 100 * door.watch.Busy()}), nil
}

// open times visits that begin at a rate.
func (m Measurement) open(ctx context.Context, rate float64, d time.Duration) ([]measure.Figure, error) {
	var took time.Duration
	door, err := m.phase(ctx, lookOpen, 0, func(visit load.Visit) error {
		_, err := load.Open(ctx, rate, d, visit)
		return err
	}, &took)
	if err != nil {
		return nil, err
	}
	figures := []measure.Figure{{Name: "open loop", Unit: "orders/s", Value: float64(door.placed) / d.Seconds()}}
	figures = append(figures, latencies("POST /sales", door.posted)...)
	figures = append(figures, latencies("decided", door.watch.Latencies())...)
	if len(door.read) > 0 {
		figures = append(figures, latencies("read", door.read)...)
	}
	return figures, nil
}

func latencies(what string, ms []float64) []measure.Figure {
	sorted := slices.Sorted(slices.Values(ms))
	var figures []measure.Figure
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", .5}, {"p95", .95}, {"p99", .99}} {
		figures = append(figures, measure.Figure{Name: what + " " + q.name, Unit: "ms", Value: statistics.Quantile(sorted, q.q)})
	}
	return figures
}

// phase runs a load and then waits until it is settled, which is when took ends, and
// checks what came of it.
func (m Measurement) phase(ctx context.Context, look time.Duration, window int, run func(load.Visit) error, took *time.Duration) (*Door, error) {
	start, err := m.Shop.marks(ctx)
	if err != nil {
		return nil, err
	}
	door := &Door{shop: m.Shop, client: wire.New(m.Shop.address), maximum: window}
	defer door.client.Close()
	door.watch = newWatch(ctx, m.Shop.DB, start.sale, look, window)
	defer door.watch.Stop()
	began := time.Now()
	if err := run(func(ctx context.Context, r *rand.Rand, began time.Time) error {
		return m.Scenario.Visit(ctx, door, r, began)
	}); err != nil {
		return nil, err
	}
	settling, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := m.Shop.settle(settling, door.watch, start); err != nil {
		return nil, err
	}
	*took = time.Since(began)
	door.watch.Stop()
	return door, m.Shop.check(ctx, door, start)
}

// settle waits until every sale is decided, and all that was confirmed or canceled has
// moved its goods.
func (s *Shop) settle(ctx context.Context, w *Watch, start marks) error {
	if err := w.Settle(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	want := w.decided["Confirmed"] + w.decided["Canceled"]
	w.mu.Unlock()
	for {
		var moved int64
		err := s.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+fill.Shop.Sales+".timeline WHERE id > ? AND type IN ('StockReleased', 'StockCanceled')",
			start.entry).Scan(&moved)
		if err != nil || moved >= want {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the goods of %d of %d sales have moved: %w", moved, want, ctx.Err())
		case <-time.After(lookClosed):
		}
	}
}
