// Package groupcommit lets work that arrives at the same time share one transaction:
// the disk is waited for once, and each statement carries the rows of all. Whoever
// brings work is answered only after its own commit.
//
// There is no timer. While transactions are in flight, what arrives gathers, and goes
// together as soon as one of them ends; work that comes alone goes at once.
package groupcommit

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Settings of a Committer.
type Settings[T any] struct {
	// Commit does all the work of a batch in one transaction, or none of it.
	Commit func(ctx context.Context, batch []T) error
	// Alone says that an error may be the fault of some work of a batch: each of it is
	// then tried by itself. Other errors are everybody's.
	Alone func(error) bool
	// InFlight transactions at once, and Most work in each.
	InFlight, Most int
	// Timeout of a transaction. It does not end with any one caller's context.
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
	work  T
	state atomic.Int32
	done  chan struct{}
	err   error
}

// States of an entry: a caller that leaves in time takes its work along.
const (
	waiting int32 = iota
	taken
	left
)

// Do returns when work is committed, or why it is not. When ctx ends before a
// transaction took the work, it is never done; later, ctx changes nothing.
func (c *Committer[T]) Do(ctx context.Context, work T) error {
	e := &entry[T]{work: work, done: make(chan struct{})}
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
	err := c.commit(batch)
	if err != nil && len(batch) > 1 && c.settings.Alone(err) {
		c.settleAlone(batch)
		return
	}
	end(batch, err)
}

// settleAlone tries each work by itself, until one meets what is everybody's trouble.
func (c *Committer[T]) settleAlone(batch []*entry[T]) {
	for i := range batch {
		err := c.commit(batch[i : i+1])
		if err != nil && !c.settings.Alone(err) {
			end(batch[i:], err)
			return
		}
		end(batch[i:i+1], err)
	}
}

// end answers the callers.
func end[T any](batch []*entry[T], err error) {
	for _, e := range batch {
		e.err = err
		close(e.done)
	}
}

func (c *Committer[T]) commit(batch []*entry[T]) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.settings.Timeout)
	defer cancel()
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
