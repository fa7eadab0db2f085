package groupcommit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ecommerce-stack.dev/services/internal/groupcommit"
)

var errBad = errors.New("bad work")

// ledger commits numbers; negative ones are bad, and zero panics.
type ledger struct {
	mu      sync.Mutex
	batches [][]int
	takes   time.Duration
	away    error
}

func (l *ledger) commit(_ context.Context, batch []int) error {
	time.Sleep(l.takes) // of a synctest bubble's clock
	if l.away != nil {
		return l.away
	}
	for _, n := range batch {
		switch {
		case n < 0:
			return errBad
		case n == 0:
			panic("zero")
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, slices.Clone(batch))
	return nil
}

func (l *ledger) committer(inFlight, most int) *groupcommit.Committer[int] {
	return groupcommit.New(groupcommit.Settings[int]{Commit: l.commit, InFlight: inFlight, Most: most, Timeout: time.Minute,
		Alone: func(err error) bool { return !errors.Is(err, context.DeadlineExceeded) }})
}

func TestWorkGathersWhileATransactionIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{takes: time.Second}
		c := l.committer(1, 3)
		var wg sync.WaitGroup
		do := func(n int) {
			wg.Go(func() {
				if err := c.Do(t.Context(), n); err != nil {
					t.Errorf("%d: %v", n, err)
				}
			})
			synctest.Wait()
		}
		for n := range 6 {
			do(n + 1)
		}
		wg.Wait()
		if want := [][]int{{1}, {2, 3, 4}, {5, 6}}; !slices.EqualFunc(l.batches, want, slices.Equal) {
			t.Errorf("committed %v, want %v", l.batches, want)
		}
	})
}

func TestBadWorkFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{takes: time.Second}
		c := l.committer(1, 10)
		var wg sync.WaitGroup
		for n, want := range map[int]string{1: "", 2: "", -1: "bad work", 0: "panic: zero", 3: ""} {
			wg.Go(func() {
				err := c.Do(t.Context(), n)
				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%d: %v, want %q", n, err, want)
				}
			})
		}
		wg.Wait()
	})
}

func TestWhatIsAwayIsEverybodysErrorAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{takes: time.Second, away: context.DeadlineExceeded}
		c := l.committer(1, 10)
		began := time.Now()
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				if err := c.Do(t.Context(), n+1); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%d: %v", n, err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %s, want no more than two transactions", took)
		}
	})
}

func TestWhatIsAwayMeanwhileIsNotWaitedForByEachAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		c := groupcommit.New(groupcommit.Settings[int]{InFlight: 1, Most: 100, Timeout: time.Minute,
			Alone: func(err error) bool { return errors.Is(err, errBad) },
			Commit: func(_ context.Context, batch []int) error {
				time.Sleep(time.Second)
				tries++
				if len(batch) > 1 {
					return errBad
				}
				return context.DeadlineExceeded
			}})
		var wg sync.WaitGroup
		for n := range 51 {
			wg.Go(func() {
				if err := c.Do(t.Context(), n); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%d: %v", n, err)
				}
			})
		}
		wg.Wait()
		if tries > 4 {
			t.Errorf("%d transactions, want two batches at most, and one alone of each", tries)
		}
	})
}

func TestWorkIsDoneOrItsCallerLeftInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{takes: time.Second}
		c := l.committer(1, 10)
		hurried, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.Do(hurried, 1); err != nil {
				t.Errorf("in flight when its caller left: %v, want it done", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := c.Do(hurried, 2); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waiting when its caller left: %v, want that it was not done", err)
			}
		})
		wg.Wait()
		synctest.Wait()
		if err := c.Do(t.Context(), 3); err != nil {
			t.Error(err)
		}
		if want := [][]int{{1}, {3}}; !slices.EqualFunc(l.batches, want, slices.Equal) {
			t.Errorf("committed %v, want %v", l.batches, want)
		}
	})
}

func TestTransactionsAreInFlightSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{takes: time.Second}
		c := l.committer(2, 1)
		began := time.Now()
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() { _ = c.Do(t.Context(), n+1) })
		}
		wg.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("four transactions, two at a time, took %s, want 2s", took)
		}
	})
}
