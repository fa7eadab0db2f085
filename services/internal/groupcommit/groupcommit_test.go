package groupcommit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ecommerce-stack.dev/services/internal/groupcommit"
)

var errBad = errors.New("bad work")

// ledger commits numbers. It fails for negative numbers, and panics for zero.
type ledger struct {
	mu       sync.Mutex
	batches  [][]int
	duration time.Duration
	err      error
}

func (l *ledger) commit(_ context.Context, batch []int) error {
	time.Sleep(l.duration) // in the time of a synctest bubble
	if l.err != nil {
		return l.err
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

func (l *ledger) committer(inFlight, maxBatch int) *groupcommit.Committer[int] {
	return groupcommit.New(groupcommit.Settings[int]{Commit: l.commit, InFlight: inFlight, MaxBatch: maxBatch, Timeout: time.Minute,
		ShouldIsolate: func(err error) bool { return !errors.Is(err, context.DeadlineExceeded) }})
}

func TestWorkIsCollectedWhileTransactionIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{duration: time.Second}
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

func TestFailingWorkIsIsolated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{duration: time.Second}
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

func TestUnavailableErrorFailsWholeBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{duration: time.Second, err: context.DeadlineExceeded}
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

func TestUnavailableErrorEndsIsolation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		c := groupcommit.New(groupcommit.Settings[int]{InFlight: 1, MaxBatch: 100, Timeout: time.Minute,
			ShouldIsolate: func(err error) bool { return errors.Is(err, errBad) },
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
		// The first is alone. The others are 50, and then 25, 12, 6, 3 and 1 of them.
		if tries > 8 {
			t.Errorf("%d transactions, want at most two batches, and the first half of each", tries)
		}
	})
}

func TestCanceledWorkIsCommittedOnlyIfInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{duration: time.Second}
		c := l.committer(1, 10)
		canceled, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.Do(canceled, 1); err != nil {
				t.Errorf("canceled in flight: %v, want it committed", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := c.Do(canceled, 2); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("canceled while it waited: %v, want context.DeadlineExceeded", err)
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

// until returns a context with a deadline but without a timer, as in a process that was
// suspended and whose timers fire late.
func until(t *testing.T, in time.Duration) context.Context {
	return deadlineOnly{t.Context(), time.Now().Add(in)}
}

type deadlineOnly struct {
	context.Context
	at time.Time
}

func (c deadlineOnly) Deadline() (time.Time, bool) { return c.at, true }

// slow returns a Commit function that commits after d unless its context ends before.
func slow(d time.Duration, commit func(batch []int) error) func(context.Context, []int) error {
	return func(ctx context.Context, batch []int) error {
		select {
		case <-time.After(d):
			return commit(batch)
		case <-ctx.Done():
			return fmt.Errorf("insert: %w", ctx.Err())
		}
	}
}

func TestExpiredWorkIsNotCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{duration: time.Second}
		c := l.committer(1, 10)
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Do(t.Context(), 1) }) // The others wait for it.
		synctest.Wait()
		wg.Go(func() {
			if err := c.Do(until(t, time.Second/2), 2); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("work whose deadline passed while it waited: %v, want context.DeadlineExceeded", err)
			}
		})
		wg.Go(func() {
			if err := c.Do(until(t, time.Minute), 3); err != nil {
				t.Errorf("work in time: %v", err)
			}
		})
		wg.Wait()
		if want := [][]int{{1}, {3}}; !slices.EqualFunc(l.batches, want, slices.Equal) {
			t.Errorf("committed %v, want %v", l.batches, want)
		}
	})
}

func TestTransactionIsRetriedWithoutExpiredWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{}
		c := groupcommit.New(groupcommit.Settings[int]{InFlight: 1, MaxBatch: 10, Timeout: time.Minute,
			Commit:        slow(3*time.Second, func(batch []int) error { return l.commit(t.Context(), batch) }),
			ShouldIsolate: func(error) bool { return false }})
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Do(t.Context(), 1) }) // The others wait for it.
		synctest.Wait()
		began := time.Now()
		for n, deadline := range map[int]time.Duration{2: 4 * time.Second, 3: 5 * time.Second, 4: time.Hour} {
			wg.Go(func() {
				err := c.Do(until(t, deadline), n)
				switch {
				case n == 4 && err != nil:
					t.Errorf("work in time: %v", err)
				case n != 4 && !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("work with a deadline after %s: %v, want context.DeadlineExceeded", deadline, err)
				case n != 4 && time.Since(began) != deadline:
					t.Errorf("work with a deadline after %s returned after %s", deadline, time.Since(began))
				}
			})
		}
		wg.Go(func() {
			if err := c.Do(t.Context(), 5); err != nil {
				t.Errorf("work without a deadline: %v", err)
			}
		})
		wg.Wait()
		if len(l.batches) != 2 || len(l.batches[1]) != 2 || slices.Contains(l.batches[1], 2) || slices.Contains(l.batches[1], 3) {
			t.Errorf("committed %v, want 1, and then 4 with 5", l.batches)
		}
	})
}

func TestExpiredWorkDoesNotFailIsolatedWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{}
		c := groupcommit.New(groupcommit.Settings[int]{InFlight: 1, MaxBatch: 10, Timeout: time.Minute,
			Commit:        slow(2*time.Second, func(batch []int) error { return l.commit(t.Context(), batch) }),
			ShouldIsolate: func(err error) bool { return errors.Is(err, errBad) }})
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Do(t.Context(), 1) }) // The others wait for it.
		synctest.Wait()
		for _, work := range []struct {
			n        int
			deadline time.Duration
			want     error
		}{{-1, time.Hour, errBad}, {2, 7 * time.Second, context.DeadlineExceeded}, {3, time.Hour, nil}} {
			wg.Go(func() {
				if err := c.Do(until(t, work.deadline), work.n); !errors.Is(err, work.want) {
					t.Errorf("%d: %v, want %v", work.n, err, work.want)
				}
			})
			synctest.Wait() // So that they are tried in this order.
		}
		wg.Wait()
		if want := [][]int{{1}, {3}}; !slices.EqualFunc(l.batches, want, slices.Equal) {
			t.Errorf("committed %v, want %v", l.batches, want)
		}
	})
}

func TestRetriedTransactionsShareTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := groupcommit.New(groupcommit.Settings[int]{InFlight: 1, MaxBatch: 100, Timeout: 10 * time.Second,
			Commit: slow(time.Hour, func([]int) error { return nil }), ShouldIsolate: func(error) bool { return false }})
		began := time.Now()
		var wg sync.WaitGroup
		do := func(ctx context.Context, n int) {
			wg.Go(func() {
				if err := c.Do(ctx, n); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%d: %v, want context.DeadlineExceeded", n, err)
				}
			})
		}
		do(t.Context(), 1) // The others wait for it.
		synctest.Wait()
		do(t.Context(), 2)
		for n := range 15 {
			do(until(t, 10*time.Second+time.Duration(n+1)*700*time.Millisecond), 3+n)
		}
		wg.Wait()
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("two batches took %s, want two timeouts of 10s", took)
		}
	})
}

func TestTransactionsAreConcurrent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{duration: time.Second}
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

var errConflict = errors.New("a row is locked")

// TestConflictingWorkDelaysNoOther commits eight works whose rows are locked, each in a batch
// with others.
func TestConflictingWorkDelaysNoOther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		locked time.Duration
		want   error
	}{"for a moment": {200 * time.Millisecond, nil}, "for long": {time.Hour, errConflict}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				committer := groupcommit.New(groupcommit.Settings[int]{InFlight: 1, MaxBatch: 64, Timeout: time.Minute,
					ShouldIsolate: func(err error) bool { return errors.Is(err, errConflict) },
					ShouldRetry:   func(err error) bool { return errors.Is(err, errConflict) },
					Commit: func(_ context.Context, batch []int) error {
						time.Sleep(time.Millisecond)
						if slices.ContainsFunc(batch, func(n int) bool { return n < 0 }) && time.Since(began) < c.locked {
							return errConflict
						}
						return nil
					}})
				var wg sync.WaitGroup
				for n := range 100 {
					wg.Go(func() {
						if err := committer.Do(t.Context(), n); err != nil || time.Since(began) > 100*time.Millisecond {
							t.Errorf("%d: %v after %s", n, err, time.Since(began))
						}
					})
					if n < 8 {
						wg.Go(func() {
							if err := committer.Do(t.Context(), -1-n); !errors.Is(err, c.want) || time.Since(began) > time.Second {
								t.Errorf("conflicting work: %v after %s, want %v", err, time.Since(began), c.want)
							}
						})
					}
				}
				wg.Wait()
			})
		})
	}
}
