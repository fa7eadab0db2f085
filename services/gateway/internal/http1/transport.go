// Package http1 speaks HTTP/1.1 (RFC 9112) to clients, and to one upstream in the
// goroutine or task that asks, over connections that are kept. net/http's Transport reads and writes each
// connection in goroutines of their own; handing every request and answer over and back
// costs a proxy more than all the rest of its work.
//
// It is for an upstream of ours on a trusted network: no TLS, no proxies, no HTTP/2, no
// upgrades, no trailers, and request bodies that are in memory.
package http1

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
)

// Transport implements http.RoundTripper for requests to one host. It is safe for
// concurrent use.
type Transport struct {
	// Dial opens a connection to the upstream.
	Dial func(ctx context.Context) (net.Conn, error)
	// MaxIdle connections are kept, or a few for each loop, each until IdleTimeout after its last call.
	MaxIdle     int
	IdleTimeout time.Duration
	// MaxHeader bounds the header of an answer in bytes.
	MaxHeader int
	// Loops run the connections, unless it is nil.
	Loops *eventloop.Group

	prepare sync.Once
	pools   []pool // one for each loop, or one
	turn    atomic.Uint32
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
// body is read. It waits as goroutines do, so a task calls it when it has left its loop.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	now := time.Now()
	c, err := t.connection(eventloop.Of(ctx), r, r.Method, now)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	c.watch = watch{conn: c, of: r, deadline: deadline}
	if err = c.arm(now, r.ContentLength > smallBody); err == nil {
		err = c.write(r)
	}
	if err == nil {
		err = c.await(r.Method, t.MaxHeader)
	}
	if err != nil {
		return nil, c.watch.fail(r.Method, r.URL.Path, err)
	}
	return c.Response(r), nil
}

// CloseIdleConnections closes what is not in use.
func (t *Transport) CloseIdleConnections() {
	for i := range t.all() {
		t.pools[i].closeAll()
	}
}

// minIdle connections are kept for a loop, however many loops there are.
const minIdle = 16

// all are the pools, made when they are first needed.
func (t *Transport) all() []pool {
	t.prepare.Do(func() {
		n := 1
		if t.Loops != nil {
			n = t.Loops.Len()
		}
		t.pools = make([]pool, n)
		for i := range t.pools {
			t.pools[i] = pool{number: i, most: max(minIdle, t.MaxIdle/n), timeout: t.IdleTimeout}
		}
	})
	return t.pools
}

// connection is a kept one that still lives, or a new one. A task gets one of its own
// loop, anybody else of the loops in turn.
func (t *Transport) connection(task *eventloop.Task, of caller, method string, now time.Time) (*conn, error) {
	pools := t.all()
	p := &pools[0]
	switch {
	case len(pools) == 1:
	case task != nil:
		p = &pools[task.Loop()]
	default:
		p = &pools[int(t.turn.Add(1))%len(pools)]
	}
	for c := p.pop(); c != nil; c = p.pop() {
		if now.Sub(c.used) < t.IdleTimeout && c.alive(method == http.MethodGet || method == http.MethodHead) {
			return c, nil
		}
		c.close()
	}
	nc, err := t.Dial(of.Context())
	if err != nil {
		return nil, err
	}
	if t.Loops != nil {
		adopted, err := t.Loops.Adopt(p.number, nc)
		if err != nil {
			return nil, errors.Join(err, nc.Close())
		}
		nc = adopted
	}
	return newConn(nc, p), nil
}
