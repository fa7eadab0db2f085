package node

import (
	"io"
	"net"
	"testing"
)

func TestForwardedConnectionsEndAsTheirEndsDo(t *testing.T) {
	inner := listenLoopback(t)
	go func() {
		conn, err := inner.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		question, _ := io.ReadAll(conn) // until the caller has no more to say
		_, _ = conn.Write(append([]byte("you said "), question...))
	}()
	conn := dialForwarded(t, inner.Addr().String())
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || string(answer) != "you said hello" {
		t.Errorf("answer %q, %v", answer, err)
	}
}

func TestAConnectionToNobodyIsClosed(t *testing.T) {
	gone := listenLoopback(t)
	gone.Close()
	conn := dialForwarded(t, gone.Addr().String())
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes of nobody", n)
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

// dialForwarded connects to a forward of the address.
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
