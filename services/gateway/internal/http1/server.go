package http1

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
)

// Server answers HTTP/1.1 with a handler that is written for net/http, at about half of
// the price of its server: it reads and writes each connection in one goroutine or task,
// builds headers in one buffer, and looks whether a client has left only for requests
// whose context somebody watches.
//
// It is stricter than net/http: a request that two readers could understand in two ways
// is refused (RFC 9112, sections 2.2, 5.2 and 6.3). It speaks no TLS, which ends before
// it, and no HTTP/2.
type Server struct {
	Handler http.Handler
	Limits  Limits
	Log     *slog.Logger
	// Refuse answers a request that cannot be read, of which nothing but the client's
	// address is known. Without it the answer is the status.
	Refuse func(w http.ResponseWriter, r *http.Request, status int)
	// Loops run the connections, unless it is nil.
	Loops *eventloop.Group
	// Fast is asked to answer a plain request before Handler is. It answers on the event
	// loop, so it waits for connections only, or leaves the loop before (package
	// eventloop). When it says no, it has done nothing, and Handler answers in a goroutine.
	Fast func(*Plain) bool

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	closing   bool
	empty     chan struct{} // closed by the last connection, once Shutdown waits
}

// Limits of a connection.
type Limits struct {
	// Header and Read are until the header and the whole request have arrived, Write
	// until the answer is written, Idle between requests.
	Header, Read, Write, Idle time.Duration
	// HeaderBytes bounds a request's line and header.
	HeaderBytes int
}

// Serve takes connections until the listener ends. Its error is http.ErrServerClosed
// after Shutdown or Close.
func (s *Server) Serve(l net.Listener) error {
	if !s.adopt(l) {
		_ = l.Close()
		return http.ErrServerClosed
	}
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.isClosing() {
				return http.ErrServerClosed
			}
			if passes(err) {
				time.Sleep(acceptPause)
				continue
			}
			return err
		}
		if s.Loops == nil || s.Loops.Go(nc, s.serve) != nil {
			go s.serve(nil, nc)
		}
	}
}

// serve answers a connection's requests, in a task or, without one, in a goroutine.
func (s *Server) serve(t *eventloop.Task, nc net.Conn) {
	if c := s.admit(t, nc); c != nil {
		c.serve()
	}
}

// acceptPause is how long a server that is out of descriptors waits for one.
const acceptPause = 5 * time.Millisecond

// passes says that an error of Accept is of the moment.
func passes(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && !errors.Is(e, net.ErrClosed) && e.Temporary()
}

func (s *Server) adopt(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.listeners == nil {
		s.listeners, s.conns = map[net.Listener]struct{}{}, map[*serverConn]struct{}{}
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// admit takes a connection in, or closes it when the server ends.
func (s *Server) admit(t *eventloop.Task, nc net.Conn) *serverConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		_ = nc.Close()
		return nil
	}
	c := newServerConn(s, t, nc)
	s.conns[c] = struct{}{}
	return c
}

func (s *Server) forget(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// Shutdown takes no more connections and requests, and waits until those in hand are
// answered or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stop()
	for c := range s.conns {
		c.closeIfIdle()
	}
	empty := make(chan struct{})
	if len(s.conns) == 0 {
		close(empty)
	} else {
		s.empty = empty
	}
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends everything at once.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	for c := range s.conns {
		_ = c.Close()
	}
	return nil
}

func (s *Server) stop() {
	s.closing = true
	for l := range s.listeners {
		_ = l.Close()
	}
}
