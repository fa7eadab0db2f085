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

// Errors of an answer that cannot be read. They say nothing of what it held.
var (
	errMalformed = errors.New("the upstream's answer is not HTTP/1.1")
	errTooLarge  = errors.New("the header of the upstream's answer is too large")
)

// RoundTrip implements http.RoundTripper. When the request's context ends, the
// connection breaks, also while the answer's body is read.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c, err := t.connection(r.Context())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(r.Context(), c.abort)
	res, err := c.exchange(r, t.MaxHeader)
	if err != nil {
		stop()
		c.close()
		if r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	b := &body{conn: c, transport: t, stop: stop, left: c.length, chunked: c.chunks(), reuse: c.keep}
	res.Body = b
	if b.left == 0 && b.chunked == nil {
		b.end()
	}
	return res, nil
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
