package connection

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long what has to happen may take on a slow machine.
const patience = 20 * time.Second

// patient returns both ends of a connection like pair, on which no call hangs.
func patient(t *testing.T) (watched, other net.Conn) {
	t.Helper()
	watched, other = pair(t, new(Deadlines))
	for _, c := range []net.Conn{watched, other} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return watched, other
}

// message is a RequestWriter.
type message []byte

func (m message) Write(w *bufio.Writer) error {
	_, err := w.Write(m)
	return err
}

func sendOn(c net.Conn) error { return Send(c, bufio.NewWriter(c), message("request")) }

func TestWriteToSlowReaderIsComplete(t *testing.T) {
	t.Parallel()
	c, other := patient(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // more than the buffers of the system
	written := make(chan error, 1)
	go func() {
		n, err := c.Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		written <- err
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(other, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("read %v, and the bytes are equal: %v", err, bytes.Equal(got, sent))
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestSocketErrorsAreThoseOfPackageNet(t *testing.T) {
	t.Parallel()
	read := func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(c net.Conn) error {
		for {
			if _, err := c.Write([]byte("x")); err != nil { // The first may be before the reset.
				return err
			}
		}
	}
	closed := func(watched, _ net.Conn) { _ = watched.Close() }
	ended := func(_, other net.Conn) { _ = other.Close() }
	reset := func(_, other net.Conn) { _ = other.(*net.TCPConn).SetLinger(0); _ = other.Close() }
	for name, c := range map[string]struct {
		end  func(watched, other net.Conn)
		call func(net.Conn) error
		want []error // one of them
	}{
		"read from one that was closed here":   {closed, read, []error{net.ErrClosed}},
		"write to one that was closed here":    {closed, write, []error{net.ErrClosed}},
		"read from one that the other closed":  {ended, read, []error{io.EOF}},
		"read from one that the other reset":   {reset, read, []error{syscall.ECONNRESET}},
		"write to one that the other closed":   {ended, write, []error{syscall.EPIPE, syscall.ECONNRESET}},
		"send on one that was closed here":     {closed, sendOn, []error{net.ErrClosed}},
		"read after one that the other closed": {ended, func(c net.Conn) error { return errors.Join(read(c), read(c)) }, []error{io.EOF}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watched, other := patient(t)
			c.end(watched, other)
			err := c.call(watched)
			for _, want := range c.want {
				if errors.Is(err, want) {
					return
				}
			}
			t.Errorf("got %v, want one of %v", err, c.want)
		})
	}
}

func TestSendReturnsWithTheResponse(t *testing.T) {
	t.Parallel()
	c, other := patient(t)
	var responded atomic.Int64
	const exchanges = 2000
	go func() {
		b := make([]byte, 64)
		for range exchanges {
			if _, err := other.Read(b); err != nil {
				return
			}
			responded.Add(1)
			if _, err := other.Write([]byte("response")); err != nil {
				return
			}
		}
	}()
	b := make([]byte, 64)
	for i := range int64(exchanges) {
		if err := sendOn(c); err != nil {
			t.Fatalf("exchange %d: %v", i, err)
		}
		if n := responded.Load(); n != i+1 {
			t.Fatalf("exchange %d: Send returned before the response", i)
		}
		if n, err := c.Read(b); string(b[:n]) != "response" {
			t.Fatalf("exchange %d: read %q, %v", i, b[:n], err)
		}
	}
}

func TestSendEndsAtTheReadDeadline(t *testing.T) {
	t.Parallel()
	c, _ := patient(t)
	if err := c.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if err := sendOn(c); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

// TestSendOnClosedConnectionIsAnError has an end that has been seen, so that the
// runtime does not tell of it again.
func TestSendOnClosedConnectionIsAnError(t *testing.T) {
	t.Parallel()
	c, other := patient(t)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := c.Read(b); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	err := sendOn(c)
	if err == nil {
		_, err = c.Read(b)
	}
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("got %v, want the end of the connection", err)
	}
}

// TestSendReturnsWithResponseBeforeEndOfRequest has a server that reads the rest, but responds
// only once.
func TestSendReturnsWithResponseBeforeEndOfRequest(t *testing.T) {
	t.Parallel()
	for range 20 {
		c, other := patient(t)
		sent := make(message, 8<<20)
		go func() {
			if _, err := io.ReadFull(other, make([]byte, 1<<10)); err == nil {
				_, _ = other.Write([]byte("response"))
				_, _ = io.Copy(io.Discard, other)
			}
		}()
		if err := Send(c, bufio.NewWriter(c), sent); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 64)); n == 0 {
			t.Fatal(err)
		}
	}
}
