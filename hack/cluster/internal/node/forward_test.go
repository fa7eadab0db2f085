package node

import (
	"io"
	"net"
	"testing"
)

func TestForwardPropagatesHalfClose(t *testing.T) {
	inner := listenLoopback(t)
	go func() {
		conn, err := inner.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request, _ := io.ReadAll(conn) // until the caller closes its write side
		_, _ = conn.Write(append([]byte("received "), request...))
	}()
	conn := dialForwarded(t, inner.Addr().String())
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	response, err := io.ReadAll(conn)
	if err != nil || string(response) != "received hello" {
		t.Errorf("response %q, %v", response, err)
	}
}

func TestForwardClosesConnectionWithoutUpstream(t *testing.T) {
	closed := listenLoopback(t)
	closed.Close()
	conn := dialForwarded(t, closed.Addr().String())
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes without an upstream", n)
	}
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// dialForwarded returns a connection that is forwarded to the address.
func dialForwarded(t *testing.T, address string) net.Conn {
	t.Helper()
	outer := listenLoopback(t)
	go forward(t.Context(), outer, address)
	conn, err := net.Dial("tcp", outer.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
