// Package groupcommit lets work that arrives at the same time share one transaction:
// the disk is waited for once, and each statement carries the rows of all. Whoever
// brings work is answered only after its own commit.
//
// There is no timer. While transactions are in flight, what arrives gathers, and goes
// together as soon as one of them ends; work that comes alone goes at once.
//
// Work is not committed after the deadline of its caller's context. A transaction ends at
// the earliest deadline of its batch, and is repeated without the work that was too slow.
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
)

// Settings of a Committer.
type Settings[T any] struct {
	// Commit does all the work of a batch in one transaction, or none of it. It must not
	// commit after the deadline of ctx, and an error that is context.DeadlineExceeded means
	// that nothing was committed: the batch may be committed again in part.
	Commit func(ctx context.Context, batch []T) error
	// Alone says that an error may be the fault of some work of a batch: each of it is
	// then tried by itself. Other errors are everybody's.
	Alone func(error) bool
	// InFlight transactions at once, and Most work in each.
	InFlight, Most int
	// Timeout of a batch, with the transactions that are repeated. They do not end when a
	// caller's context is canceled.
	Timeout time.Duration
}

// Committer gathers work. It is safe for concurrent use.
type Committer[T any] struct {
	settings Settings[T]

	mu      sync.Mutex
	waiting []*entry[T]
	running int
}

// New returns a Committer.
func New[T any](s Settings[T]) *Committer[T] { return &Committer[T]{settings: s} }

// entry is one caller's work.
type entry[T any] struct {
	work     T
	deadline time.Time // zero for none
	state    atomic.Int32
	done     chan struct{}
	err      error
}

// expired reports whether the deadline has passed. It does not depend on a timer, which
// may fire late in a process that was stopped.
func (e *entry[T]) expired() bool { return !e.deadline.IsZero() && !time.Now().Before(e.deadline) }

// States of an entry: a caller that leaves in time takes its work along.
const (
	waiting int32 = iota
	taken
	left
)

// Do returns when work is committed, or why it is not. When ctx ends before a
// transaction took the work, it is never done. Later, a cancellation changes nothing, but
// work whose deadline passes before its transaction commits is not done either: the error
// is then context.DeadlineExceeded.
func (c *Committer[T]) Do(ctx context.Context, work T) error {
	e := &entry[T]{work: work, done: make(chan struct{})}
	e.deadline, _ = ctx.Deadline()
	c.mu.Lock()
	c.waiting = append(c.waiting, e)
	if c.running < c.settings.InFlight {
		c.running++
		go c.run()
	}
	c.mu.Unlock()
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
		if e.state.CompareAndSwap(waiting, left) {
			return context.Cause(ctx)
		}
		<-e.done
		return e.err
	}
}

// run commits one batch after the other until nothing waits.
func (c *Committer[T]) run() {
	for {
		batch := c.take()
		if len(batch) == 0 {
			return
		}
		c.settle(batch)
	}
}

// take gives what waits, up to the most; with nothing, the caller must end.
func (c *Committer[T]) take() []*entry[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	var batch []*entry[T]
	for len(c.waiting) > 0 && len(batch) < c.settings.Most {
		e := c.waiting[0]
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		if e.state.CompareAndSwap(waiting, taken) {
			batch = append(batch, e)
		}
	}
	if len(batch) == 0 {
		c.waiting = nil
		c.running--
	}
	return batch
}

func (c *Committer[T]) settle(batch []*entry[T]) {
	batch, err := c.commitInTime(batch)
	if err != nil && len(batch) > 1 && c.settings.Alone(err) {
		c.settleAlone(batch)
		return
	}
	end(batch, err)
}

// settleAlone tries each work by itself, until one meets what is everybody's trouble.
func (c *Committer[T]) settleAlone(batch []*entry[T]) {
	for i := range batch {
		rest, err := c.commitInTime(batch[i : i+1])
		if len(rest) > 0 && err != nil && !c.settings.Alone(err) {
			end(batch[i:], err)
			return
		}
		end(rest, err)
	}
}

// commitInTime commits a batch without the entries whose deadlines pass before, which it
// ends. It returns the other entries and their common error. Each transaction but the
// first has fewer entries than the one before, and all share Settings.Timeout.
func (c *Committer[T]) commitInTime(batch []*entry[T]) ([]*entry[T], error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.settings.Timeout)
	defer cancel()
	batch = endExpired(batch)
	for len(batch) > 0 {
		err := c.commit(ctx, batch)
		if !errors.Is(err, context.DeadlineExceeded) {
			return batch, err
		}
		rest := endExpired(batch)
		if len(rest) == len(batch) || ctx.Err() != nil {
			return rest, err
		}
		batch = rest
	}
	return nil, nil
}

// errExpired is the error of an entry that was not committed by its deadline.
var errExpired = fmt.Errorf("not committed in time: %w", context.DeadlineExceeded)

// endExpired ends the entries whose deadline has passed and returns the others.
func endExpired[T any](batch []*entry[T]) []*entry[T] {
	if !slices.ContainsFunc(batch, (*entry[T]).expired) {
		return batch
	}
	rest := make([]*entry[T], 0, len(batch))
	for _, e := range batch {
		if e.expired() {
			end([]*entry[T]{e}, errExpired)
		} else {
			rest = append(rest, e)
		}
	}
	return rest
}

// end answers the callers.
func end[T any](batch []*entry[T], err error) {
	for _, e := range batch {
		e.err = err
		close(e.done)
	}
}

// commit runs one transaction, which ends at the earliest deadline of the batch.
func (c *Committer[T]) commit(ctx context.Context, batch []*entry[T]) (err error) {
	if first := firstDeadline(batch); !first.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, first)
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("commit %d together: panic: %v\n%s", len(batch), p, debug.Stack())
		}
	}()
	work := make([]T, len(batch))
	for i, e := range batch {
		work[i] = e.work
	}
	return c.settings.Commit(ctx, work)
}

// firstDeadline returns the earliest deadline of a batch, or the zero time.
func firstDeadline[T any](batch []*entry[T]) time.Time {
	var first time.Time
	for _, e := range batch {
		if !e.deadline.IsZero() && (first.IsZero() || e.deadline.Before(first)) {
			first = e.deadline
		}
	}
	return first
}
