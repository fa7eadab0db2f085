package connection

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is a TCP connection that makes system calls without notifying the Go scheduler. The calls
// never block, because the socket is non-blocking. With the notification, on a busy machine, the
// scheduler moves the other goroutines of the thread to another thread whenever a call takes longer
// than 20 µs, which cost a tenth of the CPU of a proxy.
type socket struct {
	*net.TCPConn
	raw           syscall.RawConn
	in, out       transfer
	pending       RequestWriter // of send, until trySend writes it
	pendingWriter *bufio.Writer // what pending is written to
	// The methods as values, so that a call allocates nothing.
	receive, transmit, exchange func(fd uintptr) bool
}

// transfer is a read or a write in progress.
type transfer struct {
	mu   sync.Mutex
	data []byte
	done int   // bytes
	err  error // of the socket, not of its deadline
}

func newSocket(conn *net.TCPConn) (*socket, error) {
	raw, err := conn.SyscallConn()
	s := &socket{TCPConn: conn, raw: raw}
	s.receive, s.transmit, s.exchange = s.tryRead, s.tryWrite, s.trySend
	return s, err
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	n, err := s.in.run(s.raw.Read, s.receive, p)
	if n == 0 && err == nil && len(p) > 0 {
		return 0, io.EOF
	}
	return n, s.opError("read", err)
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	n, err := s.out.run(s.raw.Write, s.transmit, p)
	return n, s.opError("write", err)
}

// run calls try until it returns true, each time that the socket is ready.
func (t *transfer) run(whenReady func(func(uintptr) bool) error, try func(uintptr) bool, p []byte) (int, error) {
	t.data, t.done, t.err = p, 0, nil
	err := whenReady(try)
	t.data = nil
	if err == nil {
		err = t.err
	}
	return t.done, err
}

func (s *socket) tryRead(fd uintptr) bool {
	s.in.done, s.in.err = readNow(fd, s.in.data)
	return !errors.Is(s.in.err, unix.EAGAIN)
}

func (s *socket) tryWrite(fd uintptr) bool {
	t := &s.out
	for t.done < len(t.data) {
		var n int
		if n, t.err = writeNow(fd, t.data[t.done:]); t.err != nil {
			return !errors.Is(t.err, unix.EAGAIN)
		}
		t.done += n
	}
	return true
}

// opError wraps a system call error in a *net.OpError, as package net does.
func (s *socket) opError(call string, err error) error {
	if number, ok := err.(syscall.Errno); ok { //nolint:errorlint // it is not wrapped yet
		return &net.OpError{Op: call, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(call, number)}
	}
	return err
}

// RequestWriter writes a request. A *fasthttp.Request is one.
type RequestWriter interface {
	// Write writes the request to w, and need not flush it.
	Write(w *bufio.Writer) error
}

// Send writes a request to conn through w, which must be empty, and returns when conn is readable.
// A Read directly after a Write would nearly always find no data, and make a second system call
// when the response arrives. If the other end has closed conn, Send or the next Read returns an
// error. An error, also of the read deadline, does not show whether the request was sent.
func Send(conn net.Conn, w *bufio.Writer, request RequestWriter) error {
	c, ok := conn.(*timedConn)
	if !ok {
		return send(w, request)
	}
	return c.send(w, request)
}

func send(w *bufio.Writer, request RequestWriter) error {
	if err := request.Write(w); err != nil {
		return err
	}
	return w.Flush()
}

func (s *socket) send(w *bufio.Writer, request RequestWriter) error {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.pending, s.pendingWriter = request, w
	_, err := s.in.run(s.raw.Read, s.exchange, nil)
	s.pending, s.pendingWriter = nil, nil
	return err
}

// trySend writes the request when it is called for the first time. The runtime has registered for
// readability before, so it also reports a response that arrives before all of the request is sent.
func (s *socket) trySend(uintptr) bool {
	if s.pending == nil {
		return true
	}
	s.in.err = send(s.pendingWriter, s.pending)
	s.pending = nil
	return s.in.err != nil
}
