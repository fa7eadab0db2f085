//go:build !linux

package connection

import (
	"syscall"
	"time"
)

// endUnacknowledged does nothing: the option exists on Linux.
func endUnacknowledged(syscall.RawConn, time.Duration) error { return nil }
