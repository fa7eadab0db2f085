package connection

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

type fixture struct {
	*Table
	t        *testing.T
	addr     string
	accepted chan *Conn
}

func start(t *testing.T, l Limits) *fixture {
	t.Helper()
	if l.Exempt == nil {
		l.Exempt = func(netip.Addr) bool { return false }
	}
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Table: NewTable(l, prometheus.NewRegistry()), t: t, addr: raw.Addr().String(), accepted: make(chan *Conn, 100)}
	listener := f.Listen(raw)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			f.accepted <- Of(c)
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-ended; f.CloseAll() })
	return f
}

// dial connects from an address; the connection is closed with the test.
func (f *fixture) dial(from string) net.Conn {
	f.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return c
}

// accept connects from an address and returns both ends.
func (f *fixture) accept(from string) (client net.Conn, server *Conn) {
	f.t.Helper()
	client = f.dial(from)
	select {
	case server = <-f.accepted:
		return client, server
	case <-time.After(10 * time.Second):
		f.t.Fatalf("a connection from %s is not accepted", from)
		return nil, nil
	}
}

// ended returns what a connection received until it was closed.
func ended(t *testing.T, c net.Conn) string {
	t.Helper()
	got, err := io.ReadAll(bufio.NewReader(c))
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection is open: %v", err)
	}
	return string(got)
}

func TestAddressCap(t *testing.T) {
	t.Parallel()
	f := start(t, Limits{Max: 100, PerAddress: 2, Refusal: []byte("no")})
	first, server := f.accept("127.0.0.2")
	f.accept("127.0.0.2")
	if got := ended(t, f.dial("127.0.0.2")); got != "no" {
		t.Errorf("a third connection received %q, want the refusal", got)
	}
	f.accept("127.0.0.3")
	if f.largest() != 2 || f.Open() != 3 || testutil.ToFloat64(f.refused.WithLabelValues(capAddress)) != 1 {
		t.Errorf("%d connections, %d of one address", f.Open(), f.largest())
	}
	_ = first.Close()
	_ = server.Close()
	_ = server.Close() // counts once
	f.accept("127.0.0.2")
	if f.Open() != 3 {
		t.Errorf("%d connections are counted, want 3", f.Open())
	}
}

func TestTrustedProxyHasNoAddressCap(t *testing.T) {
	t.Parallel()
	proxy := netip.MustParseAddr("127.0.0.2")
	f := start(t, Limits{Max: 100, PerAddress: 1, Exempt: func(a netip.Addr) bool { return a == proxy }})
	for range 3 {
		f.accept("127.0.0.2")
	}
	f.accept("127.0.0.3")
	ended(t, f.dial("127.0.0.3"))
}

func TestTotalCapEvictsOldestConnectionOfLargestAddress(t *testing.T) {
	t.Parallel()
	f := start(t, Limits{Max: 4, PerAddress: 4})
	modest, _ := f.accept("127.0.0.2")
	oldest, server := f.accept("127.0.0.3")
	f.accept("127.0.0.3")
	f.accept("127.0.0.3")
	f.accept("127.0.0.4")
	ended(t, oldest)
	if server.Serve(time.Now()) {
		t.Error("the evicted connection may serve a request")
	}
	if f.Open() != 4 || testutil.ToFloat64(f.evicted) != 1 {
		t.Errorf("%d connections, want 4 after one eviction", f.Open())
	}
	_ = modest.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := modest.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("the connection of the modest address ended: %v", err)
	}
}

func TestServingConnectionIsNotEvicted(t *testing.T) {
	t.Parallel()
	f := start(t, Limits{Max: 2, PerAddress: 2, Refusal: []byte("no")})
	_, a := f.accept("127.0.0.2")
	_, b := f.accept("127.0.0.2")
	if !a.Serve(time.Now()) || !b.Serve(time.Now()) || !b.Serve(time.Now()) {
		t.Fatal("a connection may not serve a request")
	}
	if got := ended(t, f.dial("127.0.0.3")); got != "no" {
		t.Errorf("with all connections busy, another one received %q, want the refusal", got)
	}
	if testutil.ToFloat64(f.refused.WithLabelValues(capTotal)) != 1 {
		t.Error("the refusal is not counted")
	}
	a.Wait()
	f.accept("127.0.0.3")
	if a.Serve(time.Now()) || !b.Serve(time.Now()) {
		t.Error("the waiting connection is not evicted, or the serving one is")
	}
}

func TestHalfClosedConnectionIsDetected(t *testing.T) {
	t.Parallel()
	f := start(t, Limits{Max: 2, PerAddress: 2})
	client, server := f.accept("127.0.0.2")
	if _, err := io.WriteString(client, "unread"); err != nil {
		t.Fatal(err)
	}
	if server.HalfClosed() {
		t.Error("an open connection is half closed")
	}
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for !server.HalfClosed() {
		if time.Now().After(deadline) {
			t.Fatal("the end of the client's data is not noticed")
		}
	}
}

// failing fails to accept with an error before each connection.
type failing struct {
	net.Listener
	err    error
	failed bool
}

func (l *failing) Accept() (net.Conn, error) {
	if l.failed = !l.failed; l.failed {
		return nil, l.err
	}
	return l.Listener.Accept()
}

func TestTooManyOpenFilesClosesOneConnection(t *testing.T) {
	t.Parallel()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	table := NewTable(Limits{Max: 100, PerAddress: 100, Exempt: func(netip.Addr) bool { return false }}, prometheus.NewRegistry())
	l := table.Listen(&failing{Listener: raw, err: &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}})
	defer l.Close()
	defer table.CloseAll()
	for range 3 {
		c, err := net.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := l.Accept(); err != nil {
			t.Fatalf("the listener ended: %v", err)
		}
	}
	if n := table.Open(); n != 1 {
		t.Errorf("%d connections, want 1: each of the two failures with a connection open closes one", n)
	}
}

func TestLingeringConnectionDeliversResponseToSendingClient(t *testing.T) {
	t.Parallel()
	f := start(t, Limits{Max: 100, PerAddress: 100})
	for range 20 {
		client, server := f.accept("127.0.0.2")
		sent := make(chan error, 1)
		go func() {
			_, err := client.Write(make([]byte, 1<<20))
			sent <- err
		}()
		if _, err := server.Read(make([]byte, 1000)); err != nil { // the beginning of what is sent
			t.Fatal(err)
		}
		if _, err := io.WriteString(server, "too much"); err != nil {
			t.Fatal(err)
		}
		server.Linger()
		_ = server.Close()
		if got, err := io.ReadAll(client); string(got) != "too much" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
		if err := <-sent; err != nil {
			t.Errorf("the client could not send all: %v", err)
		}
		_ = client.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); f.Open() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still open", f.Open())
		}
	}
}
