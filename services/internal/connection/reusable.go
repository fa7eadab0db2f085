package connection

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reusable reports whether a pooled connection is open and has nothing to read. A service
// that restarts closes its connections, and a request that changes something cannot be
// retried when its connection turns out to be closed; bytes that belong to no response
// would be taken for the next one.
func Reusable(conn net.Conn) bool {
	plain := true
	if t, ok := conn.(*tls.Conn); ok {
		conn, plain = t.NetConn(), false // Session tickets may be waiting.
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	reusable := false
	err = raw.Control(func(fd uintptr) { // Read would ask for a deadline that has not passed.
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		reusable = errors.Is(err, unix.EAGAIN) || n > 0 && !plain
	})
	return err == nil && reusable
}
