package http1

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
)

// requestContext ends with its request, or when the client leaves. It looks whether the
// client is still there from the moment that somebody asks for Done: to look takes a
// goroutine, and most requests are answered before anyone could have left.
//
// Done is for the request's own goroutine as long as that is a task on an event loop; it
// takes the task off the loop, for whoever asks for it is going to wait.
type requestContext struct {
	conn *serverConn

	mu       sync.Mutex
	done     chan struct{} // nil until somebody asks
	err      error
	unread   bool          // the body is still to be read, so nobody may look
	looking  chan struct{} // closed when the look has ended; nil when nobody looks
	finished bool
	after    []func()
}

// Deadline implements context.Context.
func (*requestContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context; it has the connection's task.
func (c *requestContext) Value(key any) any {
	if key == eventloop.Key && c.conn.task != nil {
		return c.conn.task
	}
	return nil
}

// Err implements context.Context.
func (c *requestContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
		c.look()
	}
	return c.done
}

// AfterFunc lets contexts below this one end with it without a goroutine of their own.
func (c *requestContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	c.after = append(c.after, f)
	i := len(c.after) - 1
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err != nil || c.after[i] == nil {
			return false
		}
		c.after[i] = nil
		return true
	}
}

// bodyEnded says that nobody reads from the connection any more.
func (c *requestContext) bodyEnded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread = false
	if c.done != nil {
		c.look()
	}
}

// look watches the connection, if somebody wants to know and nobody else reads it. The
// caller holds the lock.
func (c *requestContext) look() {
	if c.looking != nil || c.unread || c.finished || c.err != nil {
		return
	}
	c.conn.task.Leave() // Two are going to use the connection.
	c.looking = make(chan struct{})
	go c.watch(c.looking)
}

// watch ends the context when the connection ends. A byte that arrives is the next
// request's; from then on nobody can tell.
func (c *requestContext) watch(ended chan struct{}) {
	defer close(ended)
	for {
		_, err := c.conn.in.Peek(1)
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			c.cancel()
			return
		}
		if !c.goOn() {
			return
		}
	}
}

// goOn lets a look last, unless its request has ended meanwhile.
func (c *requestContext) goOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.finished {
		_ = c.conn.SetReadDeadline(time.Time{})
	}
	return !c.finished
}

func (c *requestContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = context.Canceled
	if c.done != nil {
		close(c.done)
	}
	for _, f := range c.after {
		if f != nil {
			go f()
		}
	}
	c.after = nil
}

// finish ends the context with its request, and the look at the connection.
func (c *requestContext) finish() {
	c.mu.Lock()
	if c.finished {
		c.mu.Unlock()
		return
	}
	c.finished = true
	looking := c.looking
	c.mu.Unlock()
	if looking != nil {
		_ = c.conn.SetReadDeadline(past)
		<-looking
		c.conn.readBy = time.Time{} // The next request sets its own.
	}
	c.cancel()
}
