package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/connection"
	"ecommerce-stack.dev/services/internal/problem"
)

// Bounds of a connection. A response has writeTimeout to be written, if it is small.
const (
	headerTimeout = 10 * time.Second // from the first byte, or from the start of the connection
	bodyTimeout   = 30 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	headerBytes   = 32 << 10 // is allocated for each connection
)

// Refusal returns what is written to a connection over a cap, of which no request is read.
func Refusal() []byte {
	var r fasthttp.Response
	p := problem.New(http.StatusServiceUnavailable, "too_many_connections", "Too many connections. Close or reuse some before opening another.")
	body, err := json.Marshal(p)
	if err != nil {
		return nil
	}
	r.SetStatusCode(p.Status)
	r.Header.SetContentType(problem.ContentType)
	r.Header.Set(fasthttp.HeaderRetryAfter, "5")
	r.SetConnectionClose()
	r.SetBodyRaw(body)
	return []byte(r.String())
}

// Server serves the requests of a Gateway. It implements lifecycle.Server.
type Server struct {
	http  *fasthttp.Server
	table *connection.Table
	tls   *tls.Config
}

// NewServer returns a server of g for connections within the limits of a table. It uses
// HTTPS unless config is nil.
func NewServer(g *Gateway, table *connection.Table, config *tls.Config) *Server {
	return &Server{table: table, tls: config, http: &fasthttp.Server{
		Handler: g.Handle, ErrorHandler: g.HandleMalformed,
		HeaderReceived: func(h *fasthttp.RequestHeader) (c fasthttp.RequestConfig) {
			if h.ContentLength() > 0 || h.ContentLength() == -1 { // -1 is chunked
				c.ReadTimeout = bodyTimeout
				// Up to this much is read before the handler, which reads the rest: when that
				// fails, the library has forgotten the request.
				c.MaxRequestBodySize = 1
			}
			return c
		},
		ConnState: func(conn net.Conn, state fasthttp.ConnState) {
			if state == fasthttp.StateIdle {
				if c := connection.Of(conn); c != nil {
					c.Wait()
				}
			}
		},
		ReadTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ReadBufferSize: headerBytes, WriteBufferSize: bufferBytes, MaxRequestBodySize: MaxBody, StreamRequestBody: true,
		DisablePreParseMultipartForm: true, CloseOnShutdown: true,
		NoDefaultServerHeader: true, NoDefaultContentType: true,
		Logger: slog.NewLogLogger(g.Log.Handler(), slog.LevelDebug), SecureErrorLogMessage: true,
	}}
}

// bufferBytes of a response are written at once.
const bufferBytes = 8 << 10

// Serve implements lifecycle.Server.
func (s *Server) Serve(l net.Listener) error {
	l = s.table.Listen(l)
	if s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	return s.http.Serve(l)
}

// Shutdown implements lifecycle.Server.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.ShutdownWithContext(ctx) }

// Close implements lifecycle.Server.
func (s *Server) Close() error {
	expired, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.http.ShutdownWithContext(expired) // closes the listener
	s.table.CloseAll()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
