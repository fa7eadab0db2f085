package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/connection"
)

// Bounds of a response. One up to SmallResponse needs no permission. A larger one, up to
// maxResponse, takes bytes of the shared buffers in steps as it arrives. The largest of
// the contract, a page of 200 products with long descriptions, has less than 3 MiB.
const (
	SmallResponse = 64 << 10
	maxResponse   = 4 << 20
	bufferStep    = 256 << 10
	maxInterim    = 5 // 1xx responses before the final one
)

// call is what one exchange with an upstream needs beside the request, and what it returns
// beside the response.
type call struct {
	Call // of a client; only its start is set for a call of the gateway itself
	// message is what is sent: the call itself for a client's request, else that of the gateway.
	message connection.RequestWriter
	request *fasthttp.Request
	host    string
	// deadline is sent to the service. The connection ends deadlineGrace later.
	deadline time.Time
	// retryable is set for a call that may be retried.
	retryable bool
	// client is watched while the response is awaited; nil for other calls.
	client *connection.Conn

	bufferedBytes int64   // of the shared buffers that the response has
	source        *source // of a stream, which the caller closes
}

// uncheckedIdle is the time since its last use in which a pooled connection is used for a
// read without checking whether it is closed. A read is retried if the connection is closed.
const uncheckedIdle = time.Second

// deadlineGrace is how long after a deadline a response is still awaited: work that was
// committed in time is reported, not retried.
const deadlineGrace = 2 * time.Second

// exchange sends a request on a pooled connection, and reads the response whole, so that
// a client that reads slowly occupies no connection of an upstream. A connection is pooled
// again only if nothing more can come from it: not after a HEAD, whose handler may go on,
// nor with bytes that belong to no response.
//
// fasthttp provides connections, parsing and framing. Its own round trip cannot be
// interrupted when the client disconnects, and would pool the connections above.
func (u *Upstream) exchange(req *fasthttp.Request, resp *fasthttp.Response, c *call) error {
	cc, err := u.client.AcquireConn(0, false) // There is none to wait for.
	for err == nil && (!c.retryable || c.Began.Sub(cc.LastUseTime()) > uncheckedIdle) && !connection.Reusable(cc.Conn()) {
		u.client.CloseConn(cc)
		cc, err = u.client.AcquireConn(0, false)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNoResponse, err)
	}
	conn := cc.Conn()
	pooled := false
	defer func() {
		switch {
		case c.source != nil: // It has taken the connection.
		case pooled:
			u.client.ReleaseConn(cc)
		default:
			u.client.CloseConn(cc)
		}
	}()
	disconnected := c.watchClient(conn)
	br := u.client.AcquireReader(conn)
	defer func() {
		if c.source == nil {
			u.client.ReleaseReader(br)
		}
	}()
	if err = u.write(c, conn); err == nil {
		err = u.read(br, req, resp, c)
	}
	switch {
	case disconnected():
		u.releaseBuffers(c)
		return errClientDisconnected
	case errors.Is(err, errTooLarge), errors.Is(err, errNoBuffer):
		u.releaseBuffers(c)
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errNoResponse, err)
	}
	if c.Stream && string(resp.Header.ContentType()) == "text/event-stream" && !req.Header.IsHead() {
		c.source = newSource(conn, br, resp.Header.ContentLength(), func() { u.client.ReleaseReader(br); u.client.CloseConn(cc) })
		return nil
	}
	pooled = !resp.ConnectionClose() && !req.Header.IsHead() && br.Buffered() == 0
	return nil
}

// write writes a request, and returns when the response begins.
func (u *Upstream) write(c *call, conn net.Conn) error {
	if err := conn.SetDeadline(c.deadline.Add(deadlineGrace)); err != nil {
		return err
	}
	bw := u.client.AcquireWriter(conn)
	defer u.client.ReleaseWriter(bw)
	return connection.Send(conn, bw, c.message)
}

// read reads a response: the header of a stream, else all of it.
func (u *Upstream) read(br *bufio.Reader, req *fasthttp.Request, resp *fasthttp.Response, c *call) error {
	if err := readHeader(br, &resp.Header); err != nil {
		return err
	}
	resp.Header.SetNoDefaultContentType(true)
	status, length := resp.StatusCode(), resp.Header.ContentLength()
	switch {
	case req.Header.IsHead():
		resp.SkipBody = true
		return nil
	case status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified:
		return nil
	case c.Stream && string(resp.Header.ContentType()) == "text/event-stream":
		return nil
	case length >= 0 && length <= SmallResponse:
		return resp.ReadBody(br, SmallResponse)
	}
	return u.readLarge(br, resp, length, c)
}

// readHeader reads the header of the final response, and leaves its version and reason to
// the server.
func readHeader(br *bufio.Reader, h *fasthttp.ResponseHeader) error {
	for range maxInterim {
		if err := h.Read(br); err != nil {
			return err
		}
		switch status := h.StatusCode(); {
		case !bytes.HasPrefix(h.Protocol(), []byte("HTTP/1.")):
			return fmt.Errorf("unsupported version %q", h.Protocol())
		case status == fasthttp.StatusSwitchingProtocols:
			return errors.New("the upstream switches protocols")
		case status >= 200:
			h.SetProtocol([]byte("HTTP/1.1"))
			h.SetStatusMessage(nil)
			return nil
		}
	}
	return errors.New("too many interim responses")
}

// readLarge reads a body that is large, or whose length is not known.
func (u *Upstream) readLarge(br *bufio.Reader, resp *fasthttp.Response, length int, c *call) error {
	body := newBody(br, length)
	defer body.close()
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	to, size := resp.BodyWriter(), int64(0)
	for {
		allowed := max(SmallResponse, c.bufferedBytes)
		n, err := io.CopyBuffer(to, io.LimitReader(body, allowed-size), *buf)
		size += n
		switch {
		case err != nil:
			return err
		case size < allowed:
			return nil // the end of the body
		case c.bufferedBytes >= maxResponse:
			return errTooLarge
		case !u.buffers.TryAcquire(bufferStep):
			return errNoBuffer
		}
		c.bufferedBytes += bufferStep
	}
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, bufferBytes); return &b }}

func (u *Upstream) releaseBuffers(c *call) {
	u.buffers.Release(c.bufferedBytes)
	c.bufferedBytes = 0
}

// body reads the body of a response by fasthttp's framing.
type body struct {
	io.Reader
	framing *fasthttp.Response
}

// newBody returns the body of a response with a length; -1 is chunked, and below that it
// ends with the connection.
func newBody(br *bufio.Reader, length int) body {
	framing := fasthttp.AcquireResponse()
	framing.StreamBody = true
	framing.Header.SetContentLength(length)
	_ = framing.ReadBody(br, 0) // only prepares the stream
	return body{framing.BodyStream(), framing}
}

func (b body) close() {
	_ = b.framing.CloseBodyStream() // the owner of the connection closes that
	fasthttp.ReleaseResponse(b.framing)
}

// Limits of watching a client that has closed its side. It may have closed only its sending
// side, and receives a response that arrives within halfClosedTimeout.
const (
	watchInterval     = 2 * time.Second
	halfClosedTimeout = 10 * time.Second
)

// watchClient closes the connection to the upstream when the client has disconnected. The
// returned function ends that, and reports whether it has happened.
func (c *call) watchClient(conn net.Conn) (disconnected func() bool) {
	if c.client == nil {
		return func() bool { return false }
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	var closed atomic.Bool
	go func() {
		defer close(stopped)
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		var since time.Time
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				switch {
				case !c.client.HalfClosed():
					since = time.Time{}
				case since.IsZero():
					since = now
				case now.Sub(since) >= halfClosedTimeout:
					closed.Store(true)
					_ = conn.Close() // ends the read
					return
				}
			}
		}
	}()
	return func() bool { close(stop); <-stopped; return closed.Load() }
}
