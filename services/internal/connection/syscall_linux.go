//go:build linux && !race

package connection

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// readNow and writeNow read or write what is possible without waiting. Those of packages
// syscall and unix notify the scheduler, and there are no others.
func readNow(fd uintptr, p []byte) (int, error) { return call(unix.SYS_READ, fd, p) }

func writeNow(fd uintptr, p []byte) (int, error) { return call(unix.SYS_WRITE, fd, p) }

func call(number, fd uintptr, p []byte) (int, error) {
	for {
		n, _, err := unix.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // as syscall.Read does it
		switch err {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, err
		}
	}
}
