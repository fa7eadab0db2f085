package main

import (
	"context"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// deferred is a measurement that is created after the system that it measures was
// started.
type deferred struct {
	listed measure.Measurement
	ready  func() measure.Measurement
}

func (l deferred) Name() string  { return l.listed.Name() }
func (l deferred) About() string { return l.listed.About() }

func (l deferred) Measure(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	return l.ready().Measure(ctx, d)
}
