// Package groupcommit implements group commit: concurrent callers share a transaction, so
// that one disk write and one statement serve the rows of all. Each caller returns after
// its work is committed.
//
// There is no timer. Work is collected while transactions are in flight, and committed as
// one batch when one of them ends. When none is in flight, work is committed at once.
//
// A batch that fails because of a part of it is halved until that part is alone. Work that
// conflicts with other transactions is then retried outside the batches, so that it delays no
// other.
//
// Work is not committed after the deadline of its caller's context. A transaction ends at
// the earliest deadline of its batch, and is retried without the work that has expired.
package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sethvargo/go-retry"
)

// Settings are the settings of a Committer.
type Settings[T any] struct {
	// Commit commits all work of a batch in one transaction, or none of it. It must not
	// commit after the deadline of ctx. When its error is context.DeadlineExceeded, nothing
	// was committed, and parts of the batch may be committed again.
	Commit func(ctx context.Context, batch []T) error
	// ShouldIsolate reports whether an error may be caused by a part of a batch. The halves of
	// the batch are then committed in their own transactions, and so on. Other errors are
	// returned to all callers.
	ShouldIsolate func(error) bool
	// ShouldRetry reports whether work that is alone may succeed a little later. It is retried
	// three times within about half a second. Nil is for never.
	ShouldRetry func(error) bool
	// InFlight is the maximum number of concurrent transactions, MaxBatch the maximum
	// number of callers that share one.
	InFlight, MaxBatch int
	// Timeout is the timeout of a batch, including retries. Transactions do not end when
	// the context of a caller is canceled.
	Timeout time.Duration
}

// Committer commits work in batches. It is safe for concurrent use.
type Committer[T any] struct {
	settings Settings[T]

	mu       sync.Mutex
	waiting  []*entry[T]
	inFlight int
}

// New returns a Committer.
func New[T any](s Settings[T]) *Committer[T] { return &Committer[T]{settings: s} }

// entry is the work of one caller.
type entry[T any] struct {
	work     T
	deadline time.Time // zero for none
	state    atomic.Int32
	done     chan struct{}
	err      error
}

// expired reports whether the deadline has passed. It does not rely on a timer, which may
// fire late in a process that was suspended.
func (e *entry[T]) expired() bool { return !e.deadline.IsZero() && !time.Now().Before(e.deadline) }

// States of an entry. Work is abandoned when its caller returns before a transaction has
// started with it.
const (
	stateWaiting int32 = iota
	stateRunning
	stateAbandoned
)

// Do returns nil after work is committed, and otherwise the error of its transaction. When
// ctx is done before a transaction with the work has started, the work is never committed,
// and Do returns the cause. After that a cancellation of ctx has no effect, but work whose
// deadline passes before its transaction commits is not committed; the error is then
// context.DeadlineExceeded.
func (c *Committer[T]) Do(ctx context.Context, work T) error {
	e := &entry[T]{work: work, done: make(chan struct{})}
	e.deadline, _ = ctx.Deadline()
	c.mu.Lock()
	c.waiting = append(c.waiting, e)
	if c.inFlight < c.settings.InFlight {
		c.inFlight++
		go c.run()
	}
	c.mu.Unlock()
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
		if e.state.CompareAndSwap(stateWaiting, stateAbandoned) {
			return context.Cause(ctx)
		}
		<-e.done
		return e.err
	}
}

// run commits batches until no work is waiting.
func (c *Committer[T]) run() {
	for {
		batch := c.nextBatch()
		if len(batch) == 0 {
			return
		}
		_ = c.commitOrIsolate(batch) // The callers have received the error.
	}
}

// nextBatch returns up to MaxBatch waiting entries. When it returns none, run must end.
func (c *Committer[T]) nextBatch() []*entry[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	var batch []*entry[T]
	for len(c.waiting) > 0 && len(batch) < c.settings.MaxBatch {
		e := c.waiting[0]
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		if e.state.CompareAndSwap(stateWaiting, stateRunning) {
			batch = append(batch, e)
		}
	}
	if len(batch) == 0 {
		c.waiting = nil
		c.inFlight--
	}
	return batch
}

// commitOrIsolate commits a batch, or its halves when ShouldIsolate requires it. An error that
// affects all ends the isolation, and is returned.
func (c *Committer[T]) commitOrIsolate(batch []*entry[T]) error {
	batch, err := c.commitInTime(batch)
	switch {
	case err == nil || !c.settings.ShouldIsolate(err):
		finish(batch, err)
		return err
	case len(batch) > 1:
		half := len(batch) / 2
		if err := c.commitOrIsolate(batch[:half]); err != nil {
			finish(batch[half:], err)
			return err
		}
		return c.commitOrIsolate(batch[half:])
	case c.settings.ShouldRetry != nil && c.settings.ShouldRetry(err):
		go c.retry(batch, err)
	default:
		finish(batch, err)
	}
	return nil
}

// Limits of retry.
const (
	maxRetries     = 3
	initialBackoff = 50 * time.Millisecond
)

// retry commits an entry again that is alone, as long as its error may pass.
func (c *Committer[T]) retry(single []*entry[T], err error) {
	backoff := retry.WithMaxRetries(maxRetries, retry.WithJitterPercent(20, retry.NewExponential(initialBackoff)))
	for len(single) > 0 && err != nil && c.settings.ShouldRetry(err) {
		wait, stop := backoff.Next()
		if stop {
			break
		}
		time.Sleep(wait)
		single, err = c.commitInTime(single)
	}
	finish(single, err)
}

// commitInTime commits a batch. It finishes the entries whose deadlines pass before with
// errExpired, and returns the other entries with their common error. Each retry has fewer
// entries than the transaction before, and all share Settings.Timeout.
func (c *Committer[T]) commitInTime(batch []*entry[T]) ([]*entry[T], error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.settings.Timeout)
	defer cancel()
	batch = finishExpired(batch)
	for len(batch) > 0 {
		err := c.commit(ctx, batch)
		if !errors.Is(err, context.DeadlineExceeded) {
			return batch, err
		}
		rest := finishExpired(batch)
		if len(rest) == len(batch) || ctx.Err() != nil {
			return rest, err
		}
		batch = rest
	}
	return nil, nil
}

// errExpired is the error of an entry that was not committed by its deadline.
var errExpired = fmt.Errorf("not committed in time: %w", context.DeadlineExceeded)

// finishExpired finishes the entries whose deadlines have passed and returns the others.
func finishExpired[T any](batch []*entry[T]) []*entry[T] {
	if !slices.ContainsFunc(batch, (*entry[T]).expired) {
		return batch
	}
	rest := make([]*entry[T], 0, len(batch))
	for _, e := range batch {
		if e.expired() {
			finish([]*entry[T]{e}, errExpired)
		} else {
			rest = append(rest, e)
		}
	}
	return rest
}

// finish returns err to the callers.
func finish[T any](batch []*entry[T], err error) {
	for _, e := range batch {
		e.err = err
		close(e.done)
	}
}

// commit runs one transaction until the earliest deadline of the batch.
func (c *Committer[T]) commit(ctx context.Context, batch []*entry[T]) (err error) {
	if first := earliestDeadline(batch); !first.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, first)
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("commit a batch of %d: panic: %v\n%s", len(batch), p, debug.Stack())
		}
	}()
	work := make([]T, len(batch))
	for i, e := range batch {
		work[i] = e.work
	}
	return c.settings.Commit(ctx, work)
}

// earliestDeadline returns the earliest deadline of a batch, or the zero time.
func earliestDeadline[T any](batch []*entry[T]) time.Time {
	var first time.Time
	for _, e := range batch {
		if !e.deadline.IsZero() && (first.IsZero() || e.deadline.Before(first)) {
			first = e.deadline
		}
	}
	return first
}
