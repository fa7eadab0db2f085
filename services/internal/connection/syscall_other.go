//go:build !linux || race

package connection

import (
	"errors"
	"syscall"
)

// With the race detector, package syscall makes the calls, because it records that a write happens
// before the read of the same bytes.

func readNow(fd uintptr, p []byte) (int, error) { return repeat(syscall.Read, fd, p) }

func writeNow(fd uintptr, p []byte) (int, error) { return repeat(syscall.Write, fd, p) }

func repeat(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		if n, err := call(int(fd), p); !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}
