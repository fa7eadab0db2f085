package connection

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fullListener returns the address of a server that responds to no further handshake, as an
// endpoint that has vanished, and a function after which it does.
func fullListener(t *testing.T) (addr string, acceptAll func()) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	// A descriptor that another goroutine accepts from can be closed only by package net: its number
	// may be that of another test's listener next.
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	addr = listener.Addr().String()
	for {
		conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr, func() {
				for { // until the listener is closed
					accepted, err := listener.Accept()
					if err != nil {
						return
					}
					_ = accepted.Close()
				}
			}
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

func TestDialIsRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	addr, acceptAll := fullListener(t)
	time.AfterFunc(dialAttempt/2, acceptAll)
	began := time.Now()
	conn, err := Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The system repeats the handshake of one attempt after a second.
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("connected after %s, want it in the second attempt", took)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var milliseconds int
	if controlErr := raw.Control(func(fd uintptr) {
		milliseconds, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); controlErr != nil || err != nil || milliseconds != int(unacknowledged.Milliseconds()) {
		t.Errorf("the connection lasts %d ms without acknowledgements (%v), want %s", milliseconds, err, unacknowledged)
	}
}

func TestDialToVanishedEndpointEndsSoon(t *testing.T) {
	t.Parallel()
	addr, _ := fullListener(t)
	began := time.Now()
	_, err := Dial(t.Context(), addr)
	timeout, ok := errors.AsType[net.Error](err)
	if took := time.Since(began); !ok || !timeout.Timeout() || took < dialAttempts*dialAttempt {
		t.Errorf("error %v after %s, want a timeout after %d attempts", err, took, dialAttempts)
	}
}

func TestRefusedConnectionIsNotRepeated(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if _, err := Dial(t.Context(), listener.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v, want %v", err, syscall.ECONNREFUSED)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(canceled, listener.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
