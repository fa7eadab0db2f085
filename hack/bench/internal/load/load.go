// Package load generates load in two ways: a closed loop, in which a fixed number of
// visitors start the next visit after the previous one, which measures the maximum
// throughput; and an open loop, in which visits start at a rate that does not depend on
// the system, which measures latencies without coordinated omission.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Visit is one visit. began is its intended start, from which latencies are measured. The
// random source is not shared.
type Visit func(ctx context.Context, r *rand.Rand, began time.Time) error

// Closed runs visits of a number of visitors in a closed loop for d and returns the number
// of visits. The first error ends it.
func Closed(ctx context.Context, visitors int, d time.Duration, v Visit) (int64, error) {
	var visits atomic.Int64
	until := time.Now().Add(d)
	group, ctx := errgroup.WithContext(ctx)
	for i := range visitors {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		group.Go(func() error {
			for time.Now().Before(until) {
				if err := v(ctx, r, time.Now()); err != nil {
					return err
				}
				visits.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return visits.Load(), err
}

// maxConcurrent is the maximum number of concurrent visits in an open loop.
const maxConcurrent = 4096

// Open starts visits at random times (a Poisson process) with a rate per second for d, and waits
// until they have ended. More than maxConcurrent active visits are an error.
func Open(ctx context.Context, rate float64, d time.Duration, v Visit) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxConcurrent)
	random := rand.New(rand.NewPCG(7, 7))
	gap := func() time.Duration { return time.Duration(random.ExpFloat64() / rate * float64(time.Second)) }
	start := time.Now()
	for at := gap(); at < d; at += gap() {
		began, r := start.Add(at), rand.New(rand.NewPCG(random.Uint64(), 2))
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-time.After(time.Until(began)):
		}
		if !group.TryGo(func() error { return v(ctx, r, began) }) {
			cancel()
			return errors.Join(fmt.Errorf("the system does not keep up: %d active visits at %.0f per second", maxConcurrent, rate), group.Wait())
		}
	}
	return group.Wait()
}
