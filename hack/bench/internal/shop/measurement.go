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

// Poll intervals of the sales: long in the closed loop, where polls only release slots, short
// in the open loop, where they measure decision latencies.
const (
	pollClosed = 50 * time.Millisecond
	pollOpen   = 5 * time.Millisecond
)

// settleTimeout is the time limit until all sales are decided and all stock has moved.
const settleTimeout = 2 * time.Minute

// Measurement measures a scenario: first a closed loop for the maximum rate and the cost of an
// order, then an open loop at half of that rate for latencies. Each phase ends when all sales
// are decided and all stock has moved, and its result is checked.
type Measurement struct {
	Shop     *Shop
	Scenario Scenario
	// Commit is the revision of the services; "" is the present source tree.
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
	return fmt.Sprintf("through %s: %s, %d clients, at most %d concurrent sagas; then open loop at half of that rate", through, m.Scenario.About(), saga.Clients, saga.Window)
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

// closed measures the maximum rate of completed sagas, from the first order until all stock
// has moved.
func (m Measurement) closed(ctx context.Context, d time.Duration) (outcome, []measure.Figure, error) {
	before, err := m.Shop.spent(ctx)
	if err != nil {
		return outcome{}, nil, err
	}
	var visits int64
	var took time.Duration
	visitor, err := m.phase(ctx, pollClosed, saga.Window, func(visit load.Visit) error {
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
	o := outcome{visitRate: float64(visits) / took.Seconds(), orders: visitor.placed}
	figures := []measure.Figure{{Name: "orders", Unit: "/s", Value: float64(o.orders) / took.Seconds()}}
	if len(visitor.read) > 0 {
		figures = append(figures, measure.Figure{Name: "reads", Unit: "/s", Value: float64(len(visitor.read)) / took.Seconds()})
	}
	figures = append(figures, measure.Figure{Name: "confirmed", Unit: "% of orders", Value: 100 * float64(visitor.watcher.decided["Confirmed"]) / float64(max(1, o.orders))})
	figures = append(figures, after.figures(before, o.orders)...)
	figures = append(figures, after.peaks()...)
	return o, append(figures, measure.Figure{Name: "polls of sales", Unit: "% of the time", Value: 100 * visitor.watcher.Busy()}), nil
}

// open measures the latencies of visits that start at a rate.
func (m Measurement) open(ctx context.Context, rate float64, d time.Duration) ([]measure.Figure, error) {
	var took time.Duration
	visitor, err := m.phase(ctx, pollOpen, 0, func(visit load.Visit) error {
		_, err := load.Open(ctx, rate, d, visit)
		return err
	}, &took)
	if err != nil {
		return nil, err
	}
	figures := []measure.Figure{{Name: "open loop", Unit: "orders/s", Value: float64(visitor.placed) / d.Seconds()}}
	figures = append(figures, latencies("POST /sales", visitor.posted)...)
	figures = append(figures, latencies("decided", visitor.watcher.Latencies())...)
	if len(visitor.read) > 0 {
		figures = append(figures, latencies("read", visitor.read)...)
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

// phase runs a load, waits until all sales are decided and all stock has moved, stores the
// elapsed time in took, and checks the result.
func (m Measurement) phase(ctx context.Context, poll time.Duration, window int, run func(load.Visit) error, took *time.Duration) (*Client, error) {
	start, err := m.Shop.position(ctx)
	if err != nil {
		return nil, err
	}
	visitor := &Client{shop: m.Shop, client: wire.New(m.Shop.address), maximum: window}
	defer visitor.client.Close()
	visitor.watcher = newSaleWatcher(ctx, m.Shop.DB, start.sale, poll, window)
	defer visitor.watcher.Stop()
	began := time.Now()
	if err := run(func(ctx context.Context, r *rand.Rand, began time.Time) error {
		return m.Scenario.Visit(ctx, visitor, r, began)
	}); err != nil {
		return nil, err
	}
	settling, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := m.Shop.settle(settling, visitor.watcher, start); err != nil {
		return nil, err
	}
	*took = time.Since(began)
	visitor.watcher.Stop()
	return visitor, m.Shop.check(ctx, visitor, start)
}

// settle waits until all sales are decided, and the stock of confirmed and canceled sales has
// moved.
func (s *Shop) settle(ctx context.Context, w *SaleWatcher, start position) error {
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
			return fmt.Errorf("the stock of %d of %d sales has moved: %w", moved, want, ctx.Err())
		case <-time.After(pollClosed):
		}
	}
}
