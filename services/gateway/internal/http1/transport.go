// Package http1 speaks HTTP/1.1 (RFC 9112) to one upstream, in the goroutine that asks
// and over connections that are kept. net/http's Transport reads and writes each
// connection in goroutines of their own; handing every request and answer over and back
// costs a proxy more than all the rest of its work.
//
// It is for an upstream of ours on a trusted network: no TLS, no proxies, no HTTP/2, no
// upgrades, no trailers, and request bodies that are in memory.
package http1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Transport implements http.RoundTripper for requests to one host. It is safe for
// concurrent use.
type Transport struct {
	// Dial opens a connection to the upstream.
	Dial func(ctx context.Context) (net.Conn, error)
	// MaxIdle connections are kept, each until IdleTimeout after its last answer.
	MaxIdle     int
	IdleTimeout time.Duration
	// MaxHeader bounds the header of an answer in bytes.
	MaxHeader int

	mu   sync.Mutex
	idle []*conn // the last is the one that was used last
}

// ErrRequest is wrapped by the refusal of a request that cannot be written, because it
// would be read as something else.
var ErrRequest = errors.New("the request is malformed")

// Errors of an answer that cannot be read. They say nothing of what it held.
var (
	errMalformed = errors.New("the upstream's answer is not HTTP/1.1")
	errTooLarge  = errors.New("the header of the upstream's answer is too large")
)

// patience is how long an answer may take before the request's context is watched: most
// are there long before, and a watch costs as much as the rest of a call.
const patience = 50 * time.Millisecond

// RoundTrip implements http.RoundTripper. It keeps to the deadline of the request's
// context; when that ends otherwise, the connection breaks, also while the answer's
// body is read.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c, err := t.connection(r.Context())
	if err != nil {
		return nil, err
	}
	w := watch{ctx: r.Context(), conn: c}
	res, err := c.exchange(r, t.MaxHeader, &w)
	if err != nil {
		w.end()
		c.close()
		if w.over(err) {
			return nil, context.Cause(r.Context())
		}
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	b := &body{conn: c, transport: t, watch: w, left: c.length, chunked: c.chunks(), reuse: c.keep}
	res.Body = b
	switch {
	case b.left == 0 && b.chunked == nil:
		b.end()
	case b.left < 0 || int64(c.in.Buffered()) < b.left:
		b.watch.begin() // More has to arrive.
	}
	return res, nil
}

// watch breaks a connection when a context ends.
type watch struct {
	ctx   context.Context
	conn  *conn
	stop  func() bool // nil until begin
	begun bool
}

func (w *watch) begin() {
	if !w.begun {
		w.begun = true
		if d, ok := w.ctx.Deadline(); ok {
			_ = w.conn.SetDeadline(d) // A connection that is broken says so when it is used.
		} else {
			_ = w.conn.SetDeadline(time.Time{})
		}
		w.stop = context.AfterFunc(w.ctx, w.conn.abort)
	}
}

// end says whether the connection is as it was.
func (w *watch) end() bool { return w.stop == nil || w.stop() }

// over says whether err comes from the end of the context. A connection's deadline may
// be over a moment before the context's timer has run.
func (w *watch) over(err error) bool {
	if d, ok := w.ctx.Deadline(); ok && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(d) {
		<-w.ctx.Done()
	}
	return w.ctx.Err() != nil
}

// CloseIdleConnections closes what is not in use.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.idle {
		c.close()
	}
	t.idle = nil
}

// connection is a kept one that still lives, or a new one.
func (t *Transport) connection(ctx context.Context) (*conn, error) {
	for {
		c := t.pop()
		if c == nil {
			break
		}
		if time.Since(c.used) < t.IdleTimeout && c.alive() {
			return c, nil
		}
		c.close()
	}
	nc, err := t.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return newConn(nc), nil
}

func (t *Transport) pop() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) == 0 {
		return nil
	}
	last := len(t.idle) - 1
	c := t.idle[last]
	t.idle[last] = nil
	t.idle = t.idle[:last]
	return c
}

// keep takes a connection back whose answer was read to its end. With the newest on
// top, the others grow old: the oldest goes when its time is over.
func (t *Transport) keep(c *conn) {
	c.used = time.Now()
	var old *conn
	t.mu.Lock()
	if len(t.idle) > 0 && (len(t.idle) >= t.MaxIdle || c.used.Sub(t.idle[0].used) > t.IdleTimeout) {
		old = t.idle[0]
		t.idle = append(t.idle[:0], t.idle[1:]...)
	}
	t.idle = append(t.idle, c)
	t.mu.Unlock()
	if old != nil {
		old.close()
	}
}
