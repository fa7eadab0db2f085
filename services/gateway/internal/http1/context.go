package http1

import (
	"context"
	"sync"
	"time"
)

// WithTimeout is context.WithTimeoutCause without its price for a call that ends in
// time: no timer runs, and nobody watches the parent, until somebody asks for Done. A
// Transport asks for it only of a call that takes long, and holds the deadline by the
// connection's.
func WithTimeout(parent context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	c := &lateContext{parent: parent, deadline: time.Now().Add(d), cause: cause}
	return c, c.cancel
}

// lateContext becomes a real context when it has to be watched.
type lateContext struct {
	parent   context.Context
	deadline time.Time
	cause    error

	mu    sync.Mutex
	inner context.Context // nil until Done
	end   context.CancelFunc
	ended bool
}

// real makes the context that can be watched.
func (c *lateContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		c.inner, c.end = context.WithDeadlineCause(c.parent, c.deadline, c.cause)
		if c.ended {
			c.end()
		}
	}
	return c.inner
}

// made is the real context if there is one.
func (c *lateContext) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inner
}

func (c *lateContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.end != nil {
		c.end()
	}
}

// Deadline implements context.Context.
func (c *lateContext) Deadline() (time.Time, bool) {
	if d, ok := c.parent.Deadline(); ok && d.Before(c.deadline) {
		return d, true
	}
	return c.deadline, true
}

// Done implements context.Context.
func (c *lateContext) Done() <-chan struct{} { return c.real().Done() }

// Err implements context.Context.
func (c *lateContext) Err() error {
	if inner := c.made(); inner != nil {
		return inner.Err()
	}
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	switch {
	case ended:
		return context.Canceled
	case !time.Now().Before(c.deadline):
		return c.real().Err() // Whoever asks for the cause next finds it.
	}
	return c.parent.Err()
}

// Value implements context.Context; context.Cause looks for the real context with it.
func (c *lateContext) Value(key any) any {
	if inner := c.made(); inner != nil {
		return inner.Value(key)
	}
	return c.parent.Value(key)
}
