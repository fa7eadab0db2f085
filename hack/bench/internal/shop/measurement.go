package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"ecommerce-stack.dev/hack/bench/internal/fill"
	"ecommerce-stack.dev/hack/bench/internal/load"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/hack/bench/internal/profile"
	"ecommerce-stack.dev/hack/bench/internal/saga"
)

// Poll intervals of the sales: long in the closed loop, where polls only release slots, short
// in the open loop, where they measure decision latencies.
const (
	pollClosed = 50 * time.Millisecond
	pollOpen   = 5 * time.Millisecond
)

// settleTimeout is the time limit until all sales are decided and all stock has moved.
const settleTimeout = 2 * time.Minute

// Measurements returns every scenario at each shop. The shops are only used when they run.
func Measurements(shops ...*Shop) []measure.Measurement {
	var all []measure.Measurement
	for _, scenario := range scenarios {
		for _, s := range shops {
			all = append(all, s.measurement(scenario))
		}
	}
	return all
}

// Over returns the scenario in which an order is of one of a number of products.
func Over(s *Shop, products int64) measure.Measurement {
	return s.measurement(scenario{"uniform", "orders of one product, uniform over all", order(mix.Over(products))})
}

// measurement measures a scenario: first a closed loop for the maximum rate and the cost of an
// order, then an open loop at half of that rate for latencies. Each phase ends when all sales
// are decided and all stock has moved, and its result is checked.
func (s *Shop) measurement(c scenario) measure.Measurement {
	name := measure.Twin("shop/"+c.name, s.Commit)
	return measure.Measurement{
		Name:  name,
		About: fmt.Sprintf("through the gateway: %s, %d clients, at most %d concurrent sagas; then open loop at half of that rate", c.about, saga.Clients, saga.Window),
		Measure: func(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
			rate, figures, err := s.closed(ctx, name, c, d)
			if err != nil {
				return nil, fmt.Errorf("closed loop: %w", err)
			}
			open, err := s.open(ctx, rate/2, c, d)
			if err != nil {
				return nil, fmt.Errorf("open loop: %w", err)
			}
			return append(figures, open...), nil
		},
	}
}

// closed measures the maximum rate of completed sagas, from the first order until all stock
// has moved. It returns the rate of visits.
func (s *Shop) closed(ctx context.Context, name string, c scenario, d time.Duration) (float64, []measure.Figure, error) {
	before, err := s.spent(ctx)
	if err != nil {
		return 0, nil, err
	}
	urls := map[string]string{}
	for _, service := range Services {
		urls[service] = s.System.MetricsURL(service)
	}
	visits := int64(0)
	v, took, err := s.phase(ctx, pollClosed, saga.Window, c, func(visit load.Visit) error {
		return profile.During(ctx, s.Profiles, name, urls, d, func() (err error) {
			visits, err = load.Closed(ctx, saga.Clients, d, visit)
			return err
		})
	})
	if err != nil {
		return 0, nil, err
	}
	after, err := s.spent(ctx)
	if err != nil {
		return 0, nil, err
	}
	orders := float64(len(v.posted))
	figures := []measure.Figure{{Name: "orders", Unit: "/s", Value: orders / took.Seconds()}}
	if len(v.read) > 0 {
		figures = append(figures, measure.Figure{Name: "reads", Unit: "/s", Value: float64(len(v.read)) / took.Seconds()})
	}
	figures = append(figures, measure.Figure{Name: "confirmed", Unit: "% of orders", Value: 100 * float64(v.watcher.decided["Confirmed"]) / max(1, orders)})
	figures = append(figures, after.figures(before, orders)...)
	return float64(visits) / took.Seconds(), append(figures, measure.Figure{Name: "polls of sales", Unit: "% of the time", Value: 100 * v.watcher.busy()}), nil
}

// open measures the latencies of visits that start at a rate.
func (s *Shop) open(ctx context.Context, rate float64, c scenario, d time.Duration) ([]measure.Figure, error) {
	v, _, err := s.phase(ctx, pollOpen, 0, c, func(visit load.Visit) error {
		_, err := load.Open(ctx, rate, d, visit)
		return err
	})
	if err != nil {
		return nil, err
	}
	figures := []measure.Figure{{Name: "open loop", Unit: "orders/s", Value: float64(len(v.posted)) / d.Seconds()}}
	figures = append(figures, latencies("POST /sales", v.posted)...)
	figures = append(figures, latencies("decided", v.watcher.latency)...)
	return append(figures, latencies("read", v.read)...), nil
}

// latencies returns the nearest-rank percentiles of milliseconds, if there are any.
func latencies(what string, ms []float64) []measure.Figure {
	if len(ms) == 0 {
		return nil
	}
	slices.Sort(ms)
	var figures []measure.Figure
	for _, percent := range []float64{50, 95, 99} {
		figures = append(figures, measure.Figure{Name: fmt.Sprintf("%s p%.0f", what, percent), Unit: "ms", Value: stat.Quantile(percent/100, stat.Empirical, ms, nil)})
	}
	return figures
}

// phase runs a load, waits until all sales are decided and all stock has moved, and checks the
// result. It returns the elapsed time until then.
func (s *Shop) phase(ctx context.Context, poll time.Duration, window int64, c scenario, run func(load.Visit) error) (*visitor, time.Duration, error) {
	start, err := s.position(ctx)
	if err != nil {
		return nil, 0, err
	}
	v := &visitor{shop: s, gateway: newClient(s.System.URL), watcher: newWatcher(s.DB, start.sale, poll, window), closed: window > 0}
	defer v.gateway.CloseIdleConnections()
	v.watcher.start(ctx)
	defer v.watcher.stop()
	began := time.Now()
	if err := run(func(ctx context.Context, r *rand.Rand, began time.Time) error { return c.visit(ctx, v, r, began) }); err != nil {
		return nil, 0, err
	}
	settling, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := s.settle(settling, v.watcher, start); err != nil {
		return nil, 0, err
	}
	took := time.Since(began)
	v.watcher.stop()
	return v, took, s.check(ctx, v, start)
}

// settle waits until all sales are decided, and the stock of confirmed and canceled sales has
// moved.
func (s *Shop) settle(ctx context.Context, w *watcher, start position) error {
	if err := w.settle(ctx); err != nil {
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

// check returns an error if the sales of a phase differ from the acknowledged ones, or the
// removed stock from the confirmed sales.
func (s *Shop) check(ctx context.Context, v *visitor, start position) error {
	stored, err := counts(ctx, s.DB, "SELECT status, COUNT(*) FROM "+fill.Shop.Sales+".sales WHERE id > ? GROUP BY status", start.sale)
	if err != nil {
		return err
	}
	var sales int64
	for status, n := range stored {
		sales += n
		if acknowledged := v.watcher.decided[status]; acknowledged != n {
			return fmt.Errorf("%d sales are %s, but %d of the acknowledged ones", n, status, acknowledged)
		}
	}
	if sales != int64(len(v.posted)) {
		return fmt.Errorf("%d sales were acknowledged, but %d exist", len(v.posted), sales)
	}
	end, err := s.position(ctx)
	if err != nil {
		return err
	}
	if removed := end.removed - start.removed; removed != v.watcher.confirmedQuantity {
		return fmt.Errorf("confirmed sales have a quantity of %d, but %d were removed from the stock", v.watcher.confirmedQuantity, removed)
	}
	return s.audit(ctx, v.gateway)
}
