// Package wire is an HTTP client that costs little: the load shares the machine with
// what it measures. It writes requests that are made up beforehand to connections
// that it keeps.
package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// timeout bounds one exchange.
const timeout = 50 * time.Second

// Client keeps connections to one address. It is safe for concurrent use.
type Client struct {
	address string
	mu      sync.Mutex
	idle    []*conn
}

type conn struct {
	net.Conn
	reader *bufio.Reader
}

// New returns a client of a host and port.
func New(address string) *Client { return &Client{address: address} }

// Request is one to send. Header lines end with CR LF.
type Request struct {
	Method, Path, Header string
	Body                 []byte
}

// Answer to a request.
type Answer struct {
	Status   int
	Location string
	Body     []byte
}

// Do sends a request over a connection that nobody uses, or a new one.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	k, err := c.take(ctx)
	if err != nil {
		return Answer{}, err
	}
	answer, keep, err := k.exchange(r)
	if err != nil {
		_ = k.Close()
		return answer, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	if !keep {
		_ = k.Close()
		return answer, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, k)
	return answer, nil
}

func (c *Client) take(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		k := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return k, nil
	}
	c.mu.Unlock()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	return &conn{raw, bufio.NewReaderSize(raw, 4<<10)}, nil
}

func (k *conn) exchange(r Request) (a Answer, keep bool, err error) {
	if err := k.SetDeadline(time.Now().Add(timeout)); err != nil {
		return a, false, err
	}
	if _, err := k.Write(r.bytes(k.RemoteAddr().String())); err != nil {
		return a, false, err
	}
	res, err := http.ReadResponse(k.reader, nil)
	if err != nil {
		return a, false, err
	}
	defer res.Body.Close()
	a = Answer{Status: res.StatusCode, Location: res.Header.Get("Location")}
	a.Body, err = io.ReadAll(res.Body)
	return a, !res.Close, err
}

func (r Request) bytes(host string) []byte {
	out := make([]byte, 0, 256+len(r.Header)+len(r.Body))
	out = append(out, r.Method...)
	out = append(out, ' ')
	out = append(out, r.Path...)
	out = append(out, " HTTP/1.1\r\nHost: "...)
	out = append(out, host...)
	out = append(out, "\r\n"...)
	out = append(out, r.Header...)
	if r.Body != nil {
		out = fmt.Appendf(out, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(r.Body))
	}
	out = append(out, "\r\n"...)
	return append(out, r.Body...)
}

// Close ends the connections that nobody uses.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.idle {
		_ = k.Close()
	}
	c.idle = nil
}
