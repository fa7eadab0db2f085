package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
)

// States of a connection: one that waits for a request may be closed by Shutdown.
const (
	idle int32 = iota
	busy
	closed
)

// serverConn is a client's connection.
type serverConn struct {
	net.Conn
	task   *eventloop.Task // nil in a goroutine
	server *Server
	remote string
	peer   netip.Addr
	in     *bufio.Reader
	state  atomic.Int32

	// head and plain are the request that is being answered.
	head  head
	plain Plain
	burst int

	// out and set are the buffers of answers: the whole, and the fields that a handler
	// has set.
	out, set []byte
	header   http.Header // of the answer; a handler does not keep it
	broken   bool        // nothing more can be written

	answered time.Time // about when the last answer was sent, if that is known

	// readBy and writeBy are the deadlines that are set. They are moved only when half of
	// their time is over: that is cheaper, and as good.
	readBy, writeBy time.Time
}

func newServerConn(s *Server, t *eventloop.Task, nc net.Conn) *serverConn {
	c := &serverConn{Conn: nc, task: t, server: s, remote: nc.RemoteAddr().String(), in: bufio.NewReaderSize(nc, readBuffer),
		header: make(http.Header, 16)}
	c.plain.conn = c
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.peer = tcp.AddrPort().Addr().Unmap()
	}
	return c
}

func (c *serverConn) serve() {
	defer c.server.forget(c)
	defer c.Close()
	for c.next() {
	}
}

func (c *serverConn) closeIfIdle() {
	if c.state.CompareAndSwap(idle, closed) {
		_ = c.Close()
	}
}

// next answers one request and says whether another may come.
func (c *serverConn) next() bool {
	c.task.Join()
	c.state.CompareAndSwap(busy, idle)
	if c.server.isClosing() && c.in.Buffered() == 0 {
		return false
	}
	if c.answered.IsZero() {
		c.answered = time.Now()
	}
	c.readUntil(c.answered, c.server.Limits.Idle)
	c.answered = time.Time{}
	if _, err := c.in.Peek(1); err != nil || !c.state.CompareAndSwap(idle, busy) {
		return false
	}
	began := time.Now()
	read, status, err := c.readHead(began)
	if err != nil {
		return false // There is nobody to answer.
	}
	if status == 0 && c.server.Fast != nil && c.plain.read(&c.head, read) {
		if answered, again := c.fast(); answered {
			return again
		}
	}
	c.task.Leave()
	var ex *exchange
	if status == 0 {
		ex, status = c.exchange(&c.head, began)
	}
	if status != 0 {
		c.refuse(status)
		return false
	}
	again := c.answer(ex)
	if !again && !ex.body.ended && !c.broken {
		c.linger()
	}
	return again
}

// maxBurst of requests are answered before the others of the loop have their turn: a client
// that sends them without end would leave them none.
const maxBurst = 16

// fast has the fast path answer, or says that it has not.
func (c *serverConn) fast() (answered, again bool) {
	p := &c.plain
	if c.burst++; c.burst%maxBurst == 0 {
		c.task.Yield()
	}
	defer func() {
		if reason := recover(); reason != nil {
			p.end(false)
			c.broke(reason)
			answered, again = true, false
		}
	}()
	if !c.server.Fast(p) {
		return false, false
	}
	p.Take()
	if p.end(true); p.made == nil {
		c.answered = p.Began // A moment ago.
	}
	return true, !p.last && !c.broken
}

// answer has the handler answer.
func (c *serverConn) answer(ex *exchange) (again bool) {
	defer func() {
		ex.ctx.finish()
		if reason := recover(); reason != nil {
			c.broke(reason)
			again = false
		}
	}()
	r := ex.request.WithContext(&ex.ctx)
	c.server.Handler.ServeHTTP(&ex.response, r)
	ex.response.finish()
	ex.ctx.finish()
	return !ex.response.last && !c.broken && ex.body.discard()
}

// broke logs a panic, unless it is the way of a handler to end.
func (c *serverConn) broke(reason any) {
	if err, ok := reason.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		c.server.Log.Error("panic in a handler", "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
	}
}

// readUntil sets the deadline of reading, unless the one that is set is good enough.
func (c *serverConn) readUntil(now time.Time, d time.Duration) {
	if left := c.readBy.Sub(now); left < d/2 || left > d {
		c.readBy = now.Add(d)
		_ = c.SetReadDeadline(c.readBy) // A connection that is broken says so when it is read.
	}
}

func (c *serverConn) writeUntil(now time.Time, d time.Duration) {
	if left := c.writeBy.Sub(now); left < d/2 || left > d {
		c.writeBy = now.Add(d)
		_ = c.SetWriteDeadline(c.writeBy)
	}
}

// write sends b, unless an earlier write has failed.
func (c *serverConn) write(b []byte) error {
	if c.broken {
		return net.ErrClosed
	}
	_, err := c.Write(b)
	c.broken = err != nil
	return err
}

// writeAll is write for what is in several places.
func (c *serverConn) writeAll(b ...[]byte) error {
	if c.broken {
		return net.ErrClosed
	}
	_, err := (*net.Buffers)(&b).WriteTo(c.Conn)
	c.broken = err != nil
	return err
}

// refuse answers a request that cannot be read, and ends the connection: nobody knows
// where the next one would begin.
func (c *serverConn) refuse(status int) {
	ex := c.newExchange(time.Now())
	ex.body.ended, ex.response.last = true, true
	ex.request = http.Request{Method: http.MethodGet, URL: &ex.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, RemoteAddr: c.remote}
	ex.url.Path = "/"
	if c.server.Refuse != nil {
		c.server.Refuse(&ex.response, ex.request.WithContext(&ex.ctx), status)
	} else {
		http.Error(&ex.response, http.StatusText(status), status)
	}
	ex.response.finish()
	ex.ctx.finish()
	c.linger()
}

// linger reads on for a moment: to close a connection with bytes that were not read
// takes the answer away from the client (RFC 9112, section 9.6), who first learns from
// it that the rest is not wanted.
func (c *serverConn) linger() {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); !ok || t.CloseWrite() != nil {
		return
	}
	until := time.Now().Add(lingerTime)
	_ = c.SetReadDeadline(until)
	if _, err := io.CopyN(io.Discard, c.in, lingerBytes); err == nil {
		time.Sleep(time.Until(until)) // It sends on; the connection's buffers fill, and it stops.
	}
}

const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 4 << 20
)

// readHead reads a request's head, or says with which status to refuse it. An error says
// that there is nobody to answer. at is when all of it was there: how long a client takes
// for it says nothing of what follows.
func (c *serverConn) readHead(began time.Time) (at time.Time, status int, err error) {
	block := wholeBlock(c.in)
	if at = began; block == nil {
		c.readUntil(began, c.server.Limits.Header)
		block, err = readBlock(c.in, c.server.Limits.HeaderBytes)
		at = time.Now()
	}
	switch {
	case errors.Is(err, errTooLarge):
		return at, http.StatusRequestHeaderFieldsTooLarge, nil
	case err != nil:
		return at, 0, err
	case !c.head.parse(string(block)):
		return at, http.StatusBadRequest, nil
	}
	return at, 0, nil
}

// date is the time for the field Date, which changes once a second.
func date(now time.Time) string {
	d := lastDate.Load()
	if second := now.Unix(); d == nil || d.second != second {
		d = &dateText{second, now.UTC().Format(http.TimeFormat)}
		lastDate.Store(d)
	}
	return d.text
}

type dateText struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[dateText]

// appendStatus writes the first line of an answer.
func appendStatus(b []byte, status int) []byte {
	if status == http.StatusOK {
		return append(b, "HTTP/1.1 200 OK\r\n"...)
	}
	b = strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(status), 10)
	return append(append(append(b, ' '), http.StatusText(status)...), "\r\n"...)
}
