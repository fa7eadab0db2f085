package main

import (
	"context"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// later is a measurement whose surroundings are started after it was listed.
type later struct {
	listed measure.Measurement
	ready  func() measure.Measurement
}

func (l later) Name() string  { return l.listed.Name() }
func (l later) About() string { return l.listed.About() }

func (l later) Measure(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	return l.ready().Measure(ctx, d)
}
