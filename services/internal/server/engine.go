package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"ecommerce-stack.dev/services/internal/problem"
)

// Engine takes connections and has a handler answer their requests, as *http.Server
// does.
type Engine interface {
	// Serve ends with http.ErrServerClosed after Shutdown or Close.
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

// Limits that an Engine holds its clients to.
type Limits struct {
	// Header and Read are until the header and the whole request have arrived, Write
	// until the answer is written, Idle between requests.
	Header, Read, Write, Idle time.Duration
	// HeaderBytes bounds a request's line and header.
	HeaderBytes int
}

func (s *Server) engine() Engine {
	limits := Limits{Header: readHeaderTimeout, Read: readTimeout, Write: writeTimeout, Idle: idleTimeout, HeaderBytes: maxHeaderBytes}
	if s.opts.Engine != nil {
		return s.opts.Engine(s.router, s.Malformed, limits, s.opts.Log)
	}
	return &http.Server{
		Handler: s.router, ReadHeaderTimeout: limits.Header, ReadTimeout: limits.Read,
		WriteTimeout: limits.Write, IdleTimeout: limits.Idle, MaxHeaderBytes: limits.HeaderBytes,
		ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
}

// Malformed answers a request that cannot be read, of which only the client's address is
// known.
func (s *Server) Malformed(w http.ResponseWriter, r *http.Request, status int) {
	identify(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, problem.New(status, "", "This is no request that can be read."))
	})).ServeHTTP(w, r)
}
