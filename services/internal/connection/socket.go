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

// socket is a TCP connection whose system calls the Go scheduler does not prepare for. They never
// block, because the socket is not in blocking mode, but on a busy machine many take longer than
// the 20 µs after which the scheduler moves the other goroutines of a blocked thread to another
// one. A proxy does little else than such calls, and that is a tenth of its work.
type socket struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out transfer
	sending Message       // of send, until it is called
	to      *bufio.Writer // of s
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
	return n, s.explain("read", err)
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	n, err := s.out.run(s.raw.Write, s.transmit, p)
	return n, s.explain("write", err)
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

// explain returns an error as package net has it.
func (s *socket) explain(call string, err error) error {
	if number, ok := err.(syscall.Errno); ok { //nolint:errorlint // it is not wrapped yet
		return &net.OpError{Op: call, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(call, number)}
	}
	return err
}

// Message is what is sent. A *fasthttp.Request is one.
type Message interface {
	// Write writes the message to w, and need not flush it.
	Write(w *bufio.Writer) error
}

// Send sends a request to a connection by way of w, which is empty, and returns when there is
// something to read. A read after a plain write would nearly always find nothing, and have to be
// repeated. If the other end had closed the connection, that is noticed when it refuses the
// request. An error, also the read deadline, may be from before or after the request was sent.
func Send(conn net.Conn, w *bufio.Writer, request Message) error {
	c, ok := conn.(*timedConn)
	if !ok {
		return send(w, request)
	}
	return c.send(w, request)
}

func send(w *bufio.Writer, m Message) error {
	if err := m.Write(w); err != nil {
		return err
	}
	return w.Flush()
}

func (s *socket) send(w *bufio.Writer, request Message) error {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.sending, s.to = request, w
	_, err := s.in.run(s.raw.Read, s.exchange, nil)
	s.sending, s.to = nil, nil
	return err
}

// trySend sends the request when it is called first. From before that the runtime takes note when
// the socket becomes readable, so a response is not missed however soon it comes, also one to a
// request of which not all has been sent.
func (s *socket) trySend(uintptr) bool {
	if s.sending == nil {
		return true
	}
	s.in.err = send(s.to, s.sending)
	s.sending = nil
	return s.in.err != nil
}
