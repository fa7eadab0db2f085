package eventloop

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Conn is a connection of a loop. It implements net.Conn. Only the task that it is bound
// to reads and writes it while that is on the loop; while it is not, or there is none,
// any goroutine may. Deadlines and Close are for any goroutine at any time.
type Conn struct {
	loop          *Loop
	fd            int
	serial        int32 // tells it from others with the same descriptor
	local, remote net.Addr
	task          *Task
	in, out       half

	// Of the loop's timers, under its lock.
	due   int64
	place int
}

// half is one direction.
type half struct {
	mu sync.Mutex
	// ready says that a call may succeed: the loop is told of it once, and it lasts until
	// a call has found nothing. ended says that it lasts for good.
	ready, ended bool
	deadline     int64
	expired      bool
	closed       bool

	// Who waits: a task on the loop, and, until the bell is closed, anybody elsewhere.
	task *Task
	bell chan struct{}
}

// Bind says which task of its loop uses a connection from now on, nil for none. It does
// nothing with a connection of no loop.
func Bind(nc net.Conn, t *Task) {
	if c, ok := nc.(*Conn); ok {
		c.task = t
	}
}

// await returns when a call may succeed, or with why it cannot. The caller holds the
// lock of h.
func (c *Conn) await(h *half) error {
	for {
		switch {
		case h.closed:
			return net.ErrClosed
		case h.expired:
			return os.ErrDeadlineExceeded
		case h.ready:
			return nil
		}
		if t := c.task; t.On() {
			h.task = t
			h.mu.Unlock()
			t.wait(struct{}{})
			h.mu.Lock()
			continue
		}
		if h.bell == nil {
			h.bell = make(chan struct{})
		}
		bell := h.bell
		h.mu.Unlock()
		<-bell
		h.mu.Lock()
	}
}

// rouse lets who waits look again. It returns the task that the loop has to go on with.
// The caller holds the lock of h.
func (h *half) rouse() *Task {
	if h.bell != nil {
		close(h.bell)
		h.bell = nil
	}
	t := h.task
	h.task = nil
	return t
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	h := &c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if err := c.await(h); err != nil {
			return 0, c.wrap("read", err)
		}
		n, err := call(syscall.SYS_READ, c.fd, p)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			h.ready = false
		case err != nil:
			return 0, c.wrap("read", os.NewSyscallError("read", err))
		case n == 0:
			return 0, io.EOF
		default:
			// A short read has taken all there was. What comes later is told again.
			h.ready = n == len(p) || h.ended
			return n, nil
		}
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	h := &c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	for done := 0; ; {
		if err := c.await(h); err != nil {
			return done, c.wrap("write", err)
		}
		n, err := call(syscall.SYS_WRITE, c.fd, p[done:])
		done += max(n, 0)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			h.ready = false
		case err != nil:
			return done, c.wrap("write", os.NewSyscallError("write", err))
		case done == len(p):
			return done, nil
		}
	}
}

// call reads or writes some bytes. It never blocks, so the scheduler need not know of it.
func call(trap uintptr, fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p))) //nolint:gosec // It is what a system call takes.
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (c *Conn) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Quiet says whether nothing has come that was not read, not even the end. What has come
// since the loop has looked it knows only if it asks the kernel, with sure. It is not ok
// for a connection of no loop.
func Quiet(nc net.Conn, sure bool) (quiet, ok bool) {
	c, ok := nc.(*Conn)
	if !ok {
		return false, false
	}
	h := &c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed || h.ended:
		return false, true
	case !h.ready && !sure:
		return true, true
	}
	var one [1]byte
	_, _, err := syscall.Recvfrom(c.fd, one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	h.ready = !errors.Is(err, syscall.EAGAIN)
	return !h.ready, true
}

// deliver takes an event from the loop, on the loop.
func (c *Conn) deliver(what uint32) {
	const gone = syscall.EPOLLHUP | syscall.EPOLLERR
	if what&(syscall.EPOLLIN|syscall.EPOLLRDHUP|gone) != 0 {
		c.in.set(what&(syscall.EPOLLRDHUP|gone) != 0)
	}
	if what&(syscall.EPOLLOUT|gone) != 0 {
		c.out.set(what&gone != 0)
	}
}

// set makes a half ready and lets its task go on.
func (h *half) set(ended bool) {
	h.mu.Lock()
	h.ready, h.ended = true, h.ended || ended
	t := h.rouse()
	h.mu.Unlock()
	if t != nil {
		t.step()
	}
}

// wake is for whoever is not the loop: a task that waits there goes on when the loop
// comes to it.
func (c *Conn) wake(t *Task) {
	if t != nil {
		c.loop.post(t)
	}
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.in, t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.out, t) }

func (c *Conn) setDeadline(h *half, t time.Time) error {
	at := clock(t)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return c.wrap("set", net.ErrClosed)
	}
	// What has just been is left to the loop, for which it is still to come.
	over := at <= c.loop.clock.Load()
	h.deadline, h.expired = at, over
	var waits *Task
	if over {
		waits = h.rouse()
	}
	h.mu.Unlock()
	c.wake(waits)
	if at != never && !over {
		c.loop.schedule(c, at)
	}
	return nil
}

// expire looks at the deadlines, on the loop.
func (c *Conn) expire() {
	next := int64(never)
	for _, h := range []*half{&c.in, &c.out} {
		h.mu.Lock()
		var waits *Task
		switch {
		case h.closed || h.deadline == never || h.expired:
		case h.deadline <= now():
			h.expired = true
			waits = h.rouse()
		default:
			next = min(next, h.deadline)
		}
		h.mu.Unlock()
		c.wake(waits)
	}
	if next != never {
		c.loop.schedule(c, next)
	}
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.in.mu.Lock()
	c.out.mu.Lock()
	closed := c.in.closed
	var reader, writer *Task
	if !closed {
		c.in.closed, c.out.closed = true, true
		reader, writer = c.in.rouse(), c.out.rouse()
	}
	c.out.mu.Unlock()
	c.in.mu.Unlock()
	if closed {
		return c.wrap("close", net.ErrClosed)
	}
	c.loop.forget(c)
	err := syscall.Close(c.fd)
	c.wake(reader)
	c.wake(writer)
	return os.NewSyscallError("close", err)
}

// CloseWrite tells the peer that nothing more comes.
func (c *Conn) CloseWrite() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.closed {
		return c.wrap("close", net.ErrClosed)
	}
	return os.NewSyscallError("shutdown", syscall.Shutdown(c.fd, syscall.SHUT_WR))
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }
