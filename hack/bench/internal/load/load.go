// Package load sends visits in two ways: closed, where so many visitors each begin
// the next visit when the last one has ended, which finds the maximum; and open,
// where visits begin at their own times whatever became of the ones before, which
// gives latencies that nobody was kept from suffering.
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

// Visit is one visit. began is when it was meant to begin: latencies count from
// there. The source is the visitor's own.
type Visit func(ctx context.Context, r *rand.Rand, began time.Time) error

// Closed lets visitors come again and again for d and returns how many visits there
// were. The first error ends it.
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

// mostAtOnce bounds the visits under way in an open loop.
const mostAtOnce = 4096

// ErrOverload says that an open loop was too much.
var ErrOverload = errors.New("the system does not keep up")

// Open begins visits at rate a second for d, at random times (a Poisson process, as
// of people who know nothing of each other), and waits until they have ended. It
// returns how many there were.
func Open(ctx context.Context, rate float64, d time.Duration, v Visit) (int64, error) {
	if rate <= 0 {
		return 0, fmt.Errorf("a rate of %g a second", rate)
	}
	var under atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	random := rand.New(rand.NewPCG(7, 7))
	start := time.Now()
	var visits int64
	for at := gap(random, rate); at < d; at += gap(random, rate) {
		began := start.Add(at)
		if !sleepUntil(ctx, began) {
			break
		}
		if n := under.Add(1); n > mostAtOnce {
			group.Go(func() error { return fmt.Errorf("%d visits are under way at %.0f a second: %w", n, rate, ErrOverload) })
			break
		}
		visits++
		r := rand.New(rand.NewPCG(random.Uint64(), 2))
		group.Go(func() error {
			defer under.Add(-1)
			return v(ctx, r, began)
		})
	}
	return visits, group.Wait()
}

// gap between two visits of a Poisson process.
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
