package load

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestClosedLimitsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var active, most, counted atomic.Int64
		n, err := Closed(t.Context(), 4, 50*time.Millisecond, func(context.Context, *rand.Rand, time.Time) error {
			if u := active.Add(1); u > most.Load() {
				most.Store(u)
			}
			defer active.Add(-1)
			time.Sleep(time.Millisecond)
			counted.Add(1)
			return nil
		})
		if err != nil || n != 4*50 || n != counted.Load() || most.Load() > 4 {
			t.Errorf("%d visits (%d counted), %d concurrent, %v; want 50 of each of 4 visitors, at most 4 concurrent", n, counted.Load(), most.Load(), err)
		}
	})
}

// TestOpenPassesIntendedTime requests a rate that cannot be reached, and checks that the
// late visits still receive their intended start.
func TestOpenPassesIntendedTime(t *testing.T) {
	const d = 100 * time.Microsecond
	var mu sync.Mutex
	var first, last time.Time
	n := 0
	err := Open(t.Context(), 1e7, d, func(_ context.Context, _ *rand.Rand, began time.Time) error {
		mu.Lock()
		defer mu.Unlock()
		n++
		if first.IsZero() || began.Before(first) {
			first = began
		}
		if began.After(last) {
			last = began
		}
		return nil
	})
	if err != nil || n < 500 {
		t.Fatalf("%d visits, %v", n, err)
	}
	if spread := last.Sub(first); spread >= d {
		t.Errorf("%d visits with an intended start within %s received starts within %s", n, d, spread)
	}
}

func TestOpenStartsVisitsAtRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n, other atomic.Int64
		err := Open(t.Context(), 2000, 500*time.Millisecond, func(_ context.Context, _ *rand.Rand, began time.Time) error {
			n.Add(1)
			if !time.Now().Equal(began) {
				other.Add(1)
			}
			return nil
		})
		// The number of visits is 1000 with a deviation of at most three standard deviations.
		if err != nil || math.Abs(float64(n.Load())-1000) > 95 || other.Load() > 0 {
			t.Errorf("%d visits, %d at another time than intended, %v; want about 1000, each at its intended time", n.Load(), other.Load(), err)
		}
	})
}

func TestFirstErrorEndsLoad(t *testing.T) {
	broken := errors.New("broken")
	fail := func(context.Context, *rand.Rand, time.Time) error { return broken }
	if _, err := Closed(t.Context(), 2, time.Minute, fail); !errors.Is(err, broken) {
		t.Errorf("closed: %v, want %v", err, broken)
	}
	if err := Open(t.Context(), 100, time.Minute, fail); !errors.Is(err, broken) {
		t.Errorf("open: %v, want %v", err, broken)
	}
}
