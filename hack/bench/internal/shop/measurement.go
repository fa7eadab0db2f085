package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/stat"

	"ecommerce-stack.dev/hack/bench/internal/load"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/hack/bench/internal/saga"
)

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
	return measure.Measurement{
		Name:  measure.Twin("shop/"+c.name, s.Commit),
		About: fmt.Sprintf("through the gateway: %s, %d clients, at most %d concurrent sagas; then open loop at half of that rate", c.about, saga.Clients, saga.Window),
		Measure: func(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
			rate, figures, err := s.closed(ctx, c, d)
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
func (s *Shop) closed(ctx context.Context, c scenario, d time.Duration) (float64, []measure.Figure, error) {
	before, err := s.spent(ctx)
	if err != nil {
		return 0, nil, err
	}
	visits := int64(0)
	v, err := s.phase(ctx, c, true, func(ctx context.Context, visit load.Visit) (err error) {
		visits, err = load.Closed(ctx, saga.Clients, d, visit)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	after, err := s.spent(ctx)
	if err != nil {
		return 0, nil, err
	}
	orders, seconds := float64(len(v.posted)), v.took.Seconds()
	figures := []measure.Figure{{Name: "orders", Unit: "/s", Value: orders / seconds}}
	if len(v.read) > 0 {
		figures = append(figures, measure.Figure{Name: "reads", Unit: "/s", Value: float64(len(v.read)) / seconds})
	}
	figures = append(figures, measure.Figure{Name: "confirmed", Unit: "% of orders", Value: 100 * float64(v.decisions.confirmed) / max(1, orders)})
	return float64(visits) / seconds, append(figures, after.figures(before, orders)...), nil
}

// open measures the latencies of visits that start at a rate.
func (s *Shop) open(ctx context.Context, rate float64, c scenario, d time.Duration) ([]measure.Figure, error) {
	v, err := s.phase(ctx, c, false, func(ctx context.Context, visit load.Visit) error { return load.Open(ctx, rate, d, visit) })
	if err != nil {
		return nil, err
	}
	figures := []measure.Figure{{Name: "open loop", Unit: "orders/s", Value: float64(len(v.posted)) / d.Seconds()}}
	return slices.Concat(figures, latencies("POST /sales", v.posted), latencies("decided", v.decisions.latencies), latencies("read", v.read)), nil
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
// result.
func (s *Shop) phase(ctx context.Context, c scenario, closed bool, run func(context.Context, load.Visit) error) (*visitor, error) {
	start, err := s.position(ctx)
	if err != nil {
		return nil, err
	}
	v := &visitor{shop: s, gateway: newClient(s.System.URL), start: start, placed: map[int64]placed{}}
	defer v.gateway.CloseIdleConnections()
	group, loading := errgroup.WithContext(ctx)
	loading, stop := context.WithCancel(loading)
	defer stop()
	if closed {
		v.backlog = &backlog{db: s.DB, after: start.sale}
		group.Go(func() error { return v.backlog.count(loading) })
	}
	began := time.Now()
	group.Go(func() error {
		defer stop()
		return run(loading, func(ctx context.Context, r *rand.Rand, began time.Time) error { return c.visit(ctx, v, r, began) })
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := s.settle(ctx, start); err != nil {
		return nil, err
	}
	v.took = time.Since(began)
	v.decisions, err = s.check(ctx, v)
	return v, err
}
