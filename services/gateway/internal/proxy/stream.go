package proxy

import (
	"bufio"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Bounds of a stream. Services send a comment every few seconds, so an upstream that is
// silent for longer has failed.
const (
	streamReadTimeout  = 30 * time.Second
	streamWriteTimeout = 10 * time.Second
)

// source is the response of an upstream whose end is not foreseeable.
type source struct {
	body
	conn    net.Conn
	release func()
}

func newSource(conn net.Conn, br *bufio.Reader, length int, release func()) *source {
	return &source{body: newBody(br, length), conn: conn, release: release}
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(streamReadTimeout)); err != nil {
		return 0, err
	}
	return s.body.Read(p)
}

// stream is a source as the body of a response. The server reads and closes it.
type stream struct {
	from   *source
	client net.Conn
	ended  func()

	drained       atomic.Bool
	stop, stopped chan struct{}
}

// newStream returns a stream that ends when draining is closed. ended is called once, when
// the stream is closed.
func newStream(from *source, client net.Conn, draining <-chan struct{}, ended func()) *stream {
	s := &stream{from: from, client: client, ended: ended, stop: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(s.stopped)
		select {
		case <-draining:
			s.drained.Store(true)
			_ = from.conn.Close() // ends the read
		case <-s.stop:
		}
	}()
	return s
}

// Read implements io.Reader. A stream that the process ends looks complete, so that the
// client continues elsewhere; one that the upstream breaks off looks broken off.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && s.drained.Load() {
		err = io.EOF
	}
	if deadlineErr := s.client.SetWriteDeadline(time.Now().Add(streamWriteTimeout)); err == nil {
		err = deadlineErr
	}
	return n, err
}

// Close implements io.Closer.
func (s *stream) Close() error {
	close(s.stop)
	<-s.stopped
	s.from.close()
	s.from.release()
	s.ended()
	return nil
}
