// Package wire implements an HTTP client with a low overhead, because the load generator
// shares the machine with the measured system.
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

// timeout is the time limit of a request and its response.
const timeout = 50 * time.Second

// Client sends requests over persistent connections to one address. It is safe for
// concurrent use.
type Client struct {
	address string
	mu      sync.Mutex
	idle    []*conn
}

type conn struct {
	net.Conn
	reader *bufio.Reader
}

// New returns a client of address, a host and port.
func New(address string) *Client { return &Client{address: address} }

// Request is a request. The lines of Header end with CR LF.
type Request struct {
	Method, Path, Header string
	Body                 []byte
}

// Response is the response to a request.
type Response struct {
	Status   int
	Location string
	Body     []byte
}

// Do sends a request over an idle or a new connection and returns the response.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) {
	if err := ctx.Err(); err != nil {
		return Response{}, err
	}
	k, err := c.connection(ctx)
	if err != nil {
		return Response{}, err
	}
	response, reusable, err := k.exchange(r)
	if err != nil {
		_ = k.Close()
		return response, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	if !reusable {
		_ = k.Close()
		return response, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, k)
	return response, nil
}

func (c *Client) connection(ctx context.Context) (*conn, error) {
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

func (k *conn) exchange(r Request) (a Response, reusable bool, err error) {
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
	a = Response{Status: res.StatusCode, Location: res.Header.Get("Location")}
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

// Close closes the idle connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.idle {
		_ = k.Close()
	}
	c.idle = nil
}
