package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
)

// readBuffer is what one read can take of an answer.
const readBuffer = 8 << 10

// conn is a connection that one request at a time uses.
type conn struct {
	net.Conn
	in   *bufio.Reader
	from *pool
	used time.Time // when the last call began

	// Of the answer that is being read: its header, the length of its body, -1 when that
	// ends with chunks or with the connection, and whether another request may follow.
	Reply
	watch   watch
	status  string // with its reason
	minor   int
	length  int64
	chunked bool
	keep    bool

	raw   syscall.RawConn // nil when it is no socket
	peek  func(fd uintptr)
	quiet bool
}

func newConn(nc net.Conn, from *pool) *conn {
	c := &conn{Conn: nc, from: from, in: bufio.NewReaderSize(nc, readBuffer)}
	if s, ok := nc.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	c.conn = c
	c.peek = func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		c.quiet = errors.Is(err, syscall.EAGAIN)
	}
	return c
}

func (c *conn) close() { _ = c.Close() } // Nobody waits for what it still might say.

// past is a deadline that is over.
var past = time.Unix(1, 0)

// abort ends what is going on, from another goroutine.
func (c *conn) abort() { _ = c.SetDeadline(past) }

// alive says whether the upstream has neither closed the connection nor said anything
// that nobody asked for. A request that is written to a connection as it closes may or
// may not have been read.
//
// On a loop the word of that is enough for a request that may be made again.
func (c *conn) alive(again bool) bool {
	if c.in.Buffered() > 0 {
		return false
	}
	if quiet, ok := eventloop.Quiet(c.Conn, !again); ok {
		return quiet
	}
	if c.raw == nil {
		return true
	}
	c.quiet = false
	return c.raw.Control(c.peek) == nil && c.quiet
}

// buffers for requests: a header, and a body that is not larger than smallBody.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

const smallBody = 64 << 10

// arm sets the deadlines of a call that begins: it is watched from the beginning if that
// has little time or a large body, else when its answer takes longer than patience.
func (c *conn) arm(now time.Time, large bool) error {
	w := &c.watch
	c.used = now
	until := now.Add(patience)
	if large || !w.deadline.IsZero() && w.deadline.Before(until) {
		w.begin()
		return nil
	}
	return errors.Join(c.SetWriteDeadline(w.deadline), c.SetReadDeadline(until))
}

// await reads the header of the final answer.
func (c *conn) await(method string, maxHeader int) error {
	w := &c.watch
	for {
		if _, err := c.in.Peek(1); err != nil {
			if w.begun || !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
			w.begin()
			continue
		}
		block := wholeBlock(c.in)
		if block == nil { // More has to arrive.
			w.begin()
			var err error
			if block, err = readBlock(c.in, maxHeader); err != nil {
				return err
			}
		}
		if err := c.parse(string(block), method); err != nil {
			return err
		}
		if c.Status >= http.StatusOK {
			return nil
		}
		if c.Status == http.StatusSwitchingProtocols {
			return errMalformed // We asked for none.
		}
	}
}

// write sends a request in one write if its body is small.
func (c *conn) write(r *http.Request) error {
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	out := (*pooled)[:0]
	target := r.URL.RequestURI()
	if !printable(target) || !printable(r.Method) {
		return fmt.Errorf("%w: its target", ErrRequest)
	}
	out = append(append(append(out, r.Method...), ' '), target...)
	out = append(append(append(out, " HTTP/1.1\r\nHost: "...), r.Host...), "\r\n"...)
	for name, values := range r.Header {
		for _, v := range values {
			if v == "" && name == "User-Agent" {
				continue
			}
			if !fieldValue(v) || !printable(name) {
				return fmt.Errorf("%w: its field %.40q", ErrRequest, name)
			}
			out = append(append(append(append(out, name...), ": "...), v...), "\r\n"...)
		}
	}
	if r.ContentLength > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		out = append(strconv.AppendInt(append(out, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
	}
	out = append(out, "\r\n"...)
	small := r.ContentLength <= smallBody
	if r.ContentLength > 0 && small {
		n := len(out)
		out = slices.Grow(out, int(r.ContentLength))[:n+int(r.ContentLength)]
		if _, err := io.ReadFull(r.Body, out[n:]); err != nil {
			return fmt.Errorf("read the request's body: %w", err)
		}
	}
	*pooled = out[:0]
	if _, err := c.Write(out); err != nil {
		return err
	}
	if !small {
		if _, err := io.CopyN(c.Conn, r.Body, r.ContentLength); err != nil {
			return err
		}
	}
	return nil
}
