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

// ErrOverload is returned by Open if more than maxConcurrent visits are active.
var ErrOverload = errors.New("the system does not keep up")

// Open starts visits at random times (a Poisson process) with a rate per second for d,
// waits until they have ended, and returns their number.
func Open(ctx context.Context, rate float64, d time.Duration, v Visit) (int64, error) {
	if rate <= 0 {
		return 0, fmt.Errorf("the rate must be positive: %g", rate)
	}
	var active atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	random := rand.New(rand.NewPCG(7, 7))
	start := time.Now()
	var visits int64
	for at := gap(random, rate); at < d; at += gap(random, rate) {
		began := start.Add(at)
		if !sleepUntil(ctx, began) {
			break
		}
		if n := active.Add(1); n > maxConcurrent {
			group.Go(func() error { return fmt.Errorf("%d active visits at %.0f per second: %w", n, rate, ErrOverload) })
			break
		}
		visits++
		r := rand.New(rand.NewPCG(random.Uint64(), 2))
		group.Go(func() error {
			defer active.Add(-1)
			return v(ctx, r, began)
		})
	}
	return visits, group.Wait()
}

// gap returns the random time between two visits of a Poisson process.
func gap(r *rand.Rand, rate float64) time.Duration {
	return time.Duration(r.ExpFloat64() / rate * float64(time.Second))
}

func sleepUntil(ctx context.Context, at time.Time) bool {
	left := time.Until(at)
	if left <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(left):
		return true
	}
}
