package connection

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// pair returns both ends of a connection, the first with its deadlines in d.
func pair(t *testing.T, d *Deadlines) (watched, other net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if other, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	raw, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	watched = d.Watch(raw.(*net.TCPConn))
	t.Cleanup(func() { _, _ = watched.Close(), other.Close() })
	return watched, other
}

// TestDeadlines allows a deadline to be as late as documented, and a slow machine as much
// again.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	const after, late = 200 * time.Millisecond, 2*deadlinePrecision + time.Second
	read := func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(c net.Conn) error {
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	}
	for name, at := range map[string]struct {
		set  func(net.Conn, time.Time) error
		wait func(net.Conn) error
	}{
		"read":            {net.Conn.SetReadDeadline, read},
		"write":           {net.Conn.SetWriteDeadline, write},
		"both, of reads":  {net.Conn.SetDeadline, read},
		"both, of writes": {net.Conn.SetDeadline, write},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d Deadlines
			c, _ := pair(t, &d)
			for range 2 { // A deadline that has passed is renewed.
				began := time.Now()
				if err := at.set(c, began.Add(after)); err != nil {
					t.Fatal(err)
				}
				if err := at.wait(c); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("error %v, want %v", err, os.ErrDeadlineExceeded)
				}
				if took := time.Since(began); took < after || took > late {
					t.Errorf("a deadline after %s took effect after %s", after, took)
				}
			}
		})
	}
}

func TestMovedDeadlineDoesNotExpire(t *testing.T) {
	t.Parallel()
	var d Deadlines
	c, other := pair(t, &d)
	for range 6 {
		if err := c.SetReadDeadline(time.Now().Add(2 * deadlinePrecision)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(deadlinePrecision / 2)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(3*deadlinePrecision, func() { _ = other.Close() })
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want that the other end closed", err)
	}
}

func TestDeadlinesPassAfterAPauseWithoutConnections(t *testing.T) {
	t.Parallel()
	var d Deadlines
	first, _ := pair(t, &d)
	_ = first.Close()
	time.Sleep(2 * deadlinePrecision) // The timer stops when it finds no connection.
	c, other := pair(t, &d)
	time.AfterFunc(10*deadlinePrecision, func() { _ = other.Close() })
	if err := c.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestClosedConnectionIsRemoved(t *testing.T) {
	t.Parallel()
	var d Deadlines
	c, _ := pair(t, &d)
	_ = c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.conns) != 0 {
		t.Errorf("%d connections are watched after the last one was closed", len(d.conns))
	}
}
