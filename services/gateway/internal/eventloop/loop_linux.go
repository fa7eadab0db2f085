package eventloop

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Group is some loops that share the work. It is safe for concurrent use.
type Group struct{ loops []*Loop }

// Start starts n loops.
func Start(n int) (*Group, error) {
	g := &Group{}
	for i := range n {
		l, err := newLoop(i)
		if err != nil {
			g.Close()
			return nil, fmt.Errorf("start an event loop: %w", err)
		}
		g.loops = append(g.loops, l)
		go l.run()
	}
	return g, nil
}

// Len is the number of loops.
func (g *Group) Len() int { return len(g.loops) }

// Go runs body as a task of the loop that has the fewest, with nc as a connection of
// that loop in place of nc. After an error nc is as it was.
func (g *Group) Go(nc net.Conn, body func(*Task, net.Conn)) error {
	l := g.loops[0]
	for _, other := range g.loops[1:] {
		if other.tasks.Load() < l.tasks.Load() {
			l = other
		}
	}
	c, err := l.adopt(nc)
	if err != nil {
		return err
	}
	l.tasks.Add(1)
	t := newTask(l, func(t *Task) {
		defer l.finished()
		Bind(c, t)
		body(t, c)
	})
	l.post(t)
	return nil
}

// Adopt makes nc a connection of the loop with a number below Len, in place of nc. After
// an error nc is as it was.
func (g *Group) Adopt(loop int, nc net.Conn) (net.Conn, error) { return g.loops[loop].adopt(nc) }

// Close ends each loop as soon as it has no task and no connection any more.
func (g *Group) Close() {
	for _, l := range g.loops {
		l.end()
	}
}

// Loop waits for the connections of its tasks.
type Loop struct {
	index int
	epoll int
	bell  int // an eventfd that ends the wait
	tasks atomic.Int64
	clock atomic.Int64 // the time of the round

	mu     sync.Mutex
	conns  []*Conn // by descriptor
	open   int
	serial int32
	posted []*Task
	timers timers
	asleep bool
	until  int64 // what it sleeps to
	ended  bool
}

// maxEvents are taken at once.
const maxEvents = 256

// turn is how long a loop that always has something to do keeps its processor from
// goroutines beside the loops.
const turn = 250 * time.Microsecond

func newLoop(index int) (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make an eventfd: %w", err), syscall.Close(epoll))
	}
	l := &Loop{index: index, epoll: epoll, bell: bell}
	err = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, bell, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(bell)})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch an eventfd: %w", err), syscall.Close(epoll), syscall.Close(bell))
	}
	return l, nil
}

// happened is an event with whom it is for.
type happened struct {
	conn *Conn
	what uint32
}

func (l *Loop) run() {
	var (
		events  [maxEvents]syscall.EpollEvent
		ready   []happened
		tasks   []*Task
		expired []*Conn
	)
	yielded := int64(0)
	for busy := false; ; {
		n := l.sleep(events[:], busy)
		ready, tasks, expired = l.collect(events[:n], ready[:0], tasks[:0], expired[:0])
		for _, h := range ready {
			h.conn.deliver(h.what)
		}
		for _, t := range tasks {
			t.step()
		}
		for _, c := range expired {
			c.expire()
		}
		busy = len(ready)+len(tasks)+len(expired) > 0
		if !busy && l.over() {
			return
		}
		clear(ready)
		clear(tasks)
		clear(expired)
		if at := l.clock.Load(); at-yielded > int64(turn) {
			yielded = at
			runtime.Gosched()
		}
	}
}

// sleep waits for events; one that has just been busy only looks.
func (l *Loop) sleep(events []syscall.EpollEvent, busy bool) int {
	timeout := 0
	l.mu.Lock()
	if !busy && len(l.posted) == 0 && !l.drained() {
		timeout = -1
		l.until = never
		if len(l.timers) > 0 {
			l.until = l.timers[0].due
			timeout = int(min(max(0, l.until-now())/int64(time.Millisecond), 1<<30)) + 1
		}
		l.asleep = true
	}
	l.mu.Unlock()
	n, err := syscall.EpollWait(l.epoll, events, timeout)
	if err != nil && !errors.Is(err, syscall.EINTR) {
		panic("epoll_wait: " + err.Error()) // It has no other errors for a descriptor that is right.
	}
	return max(n, 0)
}

// collect finds what is to be done.
func (l *Loop) collect(events []syscall.EpollEvent, ready []happened, tasks []*Task, expired []*Conn) ([]happened, []*Task, []*Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = false
	for _, e := range events {
		if e.Fd == int32(l.bell) {
			var count [8]byte
			_, _ = syscall.Read(l.bell, count[:]) // It was rung, and that is all it says.
			continue
		}
		// An event may be older than the connection that has its descriptor now.
		if c := l.conns[e.Fd]; c != nil && c.serial == e.Pad {
			ready = append(ready, happened{c, e.Events})
		}
	}
	tasks = append(tasks, l.posted...)
	clear(l.posted)
	l.posted = l.posted[:0]
	at := now()
	l.clock.Store(at)
	for len(l.timers) > 0 && l.timers[0].due <= at {
		expired = append(expired, l.timers.pop())
	}
	return ready, tasks, expired
}

// finished counts a task that has ended.
func (l *Loop) finished() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tasks.Add(-1) == 0 && l.ended {
		l.ring()
	}
}

// post has the loop go on with a task.
func (l *Loop) post(t *Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posted = append(l.posted, t)
	l.ring()
}

// ring ends the loop's sleep. The caller holds the lock.
func (l *Loop) ring() {
	if !l.asleep {
		return
	}
	l.asleep = false
	one := [8]byte{1}                    // in any order of bytes more than none
	_, _ = syscall.Write(l.bell, one[:]) // It fails only when it has been rung without end.
}

// schedule sees to it that a connection's deadlines are looked at by then.
func (l *Loop) schedule(c *Conn, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at >= c.due || l.conns[c.fd] != c {
		return
	}
	l.timers.set(c, at)
	if at < l.until {
		l.ring()
	}
}

// adopt takes a connection over, with a descriptor of its own: the one that nc has is
// watched by the runtime.
func (l *Loop) adopt(nc net.Conn) (net.Conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{loop: l, due: never, local: nc.LocalAddr(), remote: nc.RemoteAddr()}
	c.in.deadline, c.out.deadline = never, never
	var dupErr error
	err = raw.Control(func(fd uintptr) { c.fd, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return nil, fmt.Errorf("take a connection over: %w", err)
	}
	if err := l.watch(c); err != nil {
		return nil, errors.Join(err, syscall.Close(c.fd))
	}
	_ = nc.Close() // Ours is another descriptor of the same connection.
	return c, nil
}

// watch lets the loop be told about a connection.
func (l *Loop) watch(c *Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	c.serial = l.serial
	for len(l.conns) <= c.fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[c.fd] = c
	err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, c.fd, &syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | unix.EPOLLET, Fd: int32(c.fd), Pad: c.serial,
	})
	if err != nil {
		l.conns[c.fd] = nil
		return fmt.Errorf("watch a connection: %w", err)
	}
	l.open++
	return nil
}

// forget takes a connection out, so that its descriptor can be closed.
func (l *Loop) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c.fd] = nil
	l.timers.remove(c)
	if l.open--; l.ended {
		l.ring()
	}
}

// end lets the loop end.
func (l *Loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.ring()
}

// drained says that the loop has to end and nothing keeps it. The caller holds the lock.
func (l *Loop) drained() bool {
	return l.ended && len(l.posted) == 0 && l.open == 0 && l.tasks.Load() == 0
}

func (l *Loop) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.drained() {
		return false
	}
	_ = errors.Join(syscall.Close(l.epoll), syscall.Close(l.bell)) // Nobody could do anything about it.
	return true
}
