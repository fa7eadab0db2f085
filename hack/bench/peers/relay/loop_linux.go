package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// longest message that is relayed.
const longest = 8 << 10

// loop relays the messages of some pairs of connections.
type loop struct {
	epoll   int
	events  [256]unix.EpollEvent
	in, out []byte
	// ended are closed after the round: its other events may still be of their descriptors,
	// which nobody else may have until then.
	ended []pair
}

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	return &loop{
		epoll: epoll,
		in:    make([]byte, longest+1), // One more tells that there is more.
		out:   make([]byte, 0, longest+max(len(requestFields), len(answerFields))),
	}, nil
}

// add gives the loop another pair, from any goroutine. The client comes last: once it is
// there the loop may close both.
func (l *loop) add(p pair) error {
	answers, requests := p.answers(), p.requests()
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, p.origin, &answers)
	if err == nil {
		err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, p.client, &requests)
	}
	if err != nil {
		return fmt.Errorf("watch a connection: %w", err)
	}
	return nil
}

// run relays for good, on a thread of its own.
func (l *loop) run() error {
	runtime.LockOSThread()
	for {
		n, err := l.wait()
		if err != nil {
			return err
		}
		for _, e := range l.events[:n] {
			l.handle(e)
		}
		for _, p := range l.ended {
			p.end()
		}
		l.ended = l.ended[:0]
	}
}

// wait returns how many events there are. It looks before it sleeps: under load there is
// something most of the time.
func (l *loop) wait() (n int, err error) {
	if n, err = unix.EpollWait(l.epoll, l.events[:], 0); n == 0 && err == nil {
		n, err = unix.EpollWait(l.epoll, l.events[:], -1)
	}
	if err != nil && !errors.Is(err, unix.EINTR) {
		return 0, os.NewSyscallError("epoll_wait", err)
	}
	return max(n, 0), nil
}

// handle does what an event asks for.
func (l *loop) handle(e unix.EpollEvent) {
	p, answers := pairOf(e)
	if slices.Contains(l.ended, p) {
		return
	}
	const gone = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if e.Events&gone != 0 || !l.pass(p, answers) {
		l.ended = append(l.ended, p)
	}
}

// pass relays what has come, and says whether that was a whole message and was written as
// a whole.
func (l *loop) pass(p pair, answers bool) bool {
	from, to, extend := p.client, p.origin, appendRequest
	if answers {
		from, to, extend = p.origin, p.client, appendAnswer
	}
	n, err := call(unix.SYS_READ, from, l.in)
	if errors.Is(err, unix.EAGAIN) {
		return true // The read before has taken it already.
	}
	if err != nil || n == 0 || n > longest {
		return false
	}
	out, whole := extend(l.out[:0], l.in[:n])
	if !whole {
		return false
	}
	n, err = call(unix.SYS_WRITE, to, out)
	return err == nil && n == len(out)
}

// call reads or writes some bytes. It never blocks, so the scheduler need not know of it.
func call(trap uintptr, fd int, p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
