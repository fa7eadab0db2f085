package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// pair is a client's connection and the one to the origin that belongs to it, by their
// descriptors. The kernel keeps it with both of them and gives it back with each event, so
// that nobody has to look it up.
type pair struct{ client, origin int }

// take makes a pair of a client's connection.
func take(client net.Conn, origin string) (pair, error) {
	other, err := net.Dial("tcp", origin)
	if err != nil {
		return pair{}, errors.Join(err, client.Close())
	}
	var p pair
	if p.client, err = own(client); err != nil {
		return pair{}, errors.Join(err, other.Close())
	}
	if p.origin, err = own(other); err != nil {
		return pair{}, errors.Join(err, unix.Close(p.client))
	}
	return p, nil
}

// own takes a connection from the runtime, which watches the descriptor that nc has: it is
// the same connection by another descriptor. It does not block and sends at once, as net
// has set it up.
func own(nc net.Conn) (fd int, err error) {
	defer nc.Close()
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var dupErr error
	err = raw.Control(func(of uintptr) { fd, dupErr = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return 0, fmt.Errorf("take a connection over: %w", err)
	}
	return fd, nil
}

// watched are the events of both connections: each is told once.
const watched = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

// requests are the events of the client's connection, answers those of the origin's, whose
// descriptor is stored as its complement to tell them apart.
func (p pair) requests() unix.EpollEvent {
	return unix.EpollEvent{Events: watched, Fd: int32(p.client), Pad: int32(^p.origin)}
}

func (p pair) answers() unix.EpollEvent {
	return unix.EpollEvent{Events: watched, Fd: int32(^p.origin), Pad: int32(p.client)}
}

// pairOf is the pair of an event, and whether that is of answers.
func pairOf(e unix.EpollEvent) (p pair, answers bool) {
	if e.Fd < 0 {
		return pair{client: int(e.Pad), origin: ^int(e.Fd)}, true
	}
	return pair{client: int(e.Fd), origin: ^int(e.Pad)}, false
}

// end closes both connections.
func (p pair) end() {
	_, _ = unix.Close(p.client), unix.Close(p.origin) // Nobody could do anything about an error.
}
