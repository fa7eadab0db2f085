package connection

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endUnacknowledged lets the system close a connection whose peer does not acknowledge what was
// sent to it, as a host that has vanished.
func endUnacknowledged(raw syscall.RawConn, after time.Duration) error {
	var err error
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}
