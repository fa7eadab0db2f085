package connection

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// HalfClosed reports whether the other end has closed its side of a TCP connection: it
// has disconnected, or sends no more data. It reads nothing from the connection.
func (c *Conn) HalfClosed() bool {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true // the connection is closed
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(fds, 0)
		closed = err == nil && n > 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return closed || err != nil
}
