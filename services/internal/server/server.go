// Package server implements the HTTP server of a service: a chi router with a huma API,
// middleware that identifies, logs, limits and authenticates requests, health probes, and the
// OpenAPI document. Its process is a lifecycle.Process.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/lifecycle"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Options of a Server.
type Options struct {
	Name        string // of the service
	Title       string // of its OpenAPI document
	DefaultAddr string
	Config      lifecycle.Config
	Log         *slog.Logger
	Metrics     *prometheus.Registry
	Health      *health.Checks
	// Verifier verifies access tokens.
	Verifier *authn.Verifier
	// Revocations returns the revocations of access tokens; nil if none are refused, as in tests.
	Revocations authn.Revocations
	// SigningKey returns the id of the key that signs tokens; nil in a service that signs none.
	SigningKey func() string
	// MaxBody bounds the body of a request in bytes; 1 MiB if zero.
	MaxBody int64
	// Timeout bounds the work for one request; 15 seconds if zero. Slow sets that of an
	// operation.
	Timeout time.Duration
}

// Bounds of connections. WriteTimeout is above the longest Prefer: wait (30 s);
// streams move their own deadline with http.ResponseController.
const (
	defaultMaxBody    = 1 << 20
	defaultTimeout    = 15 * time.Second
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// Server is the HTTP server of a service. Its process handles the connections, the metrics port, background
// work and a graceful end.
type Server struct {
	*lifecycle.Process
	opts     Options
	router   *chi.Mux
	requests *telemetry.Requests
	api      huma.API
	revoked  *authn.RevocationReader
}

// New returns a Server that does not listen yet.
func New(o Options) *Server {
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Config.HTTPAddr == "" {
		o.Config.HTTPAddr = o.DefaultAddr
	}
	s := &Server{
		Process: lifecycle.New(lifecycle.Options{Config: o.Config, Log: o.Log, Metrics: o.Metrics, Health: o.Health}),
		opts:    o, router: chi.NewMux(), requests: telemetry.NewRequests(o.Log, o.Metrics),
	}
	s.router.Use(identify, s.observe, harden, s.limitBody)
	s.router.NotFound(notFound)
	s.router.MethodNotAllowed(s.methodNotAllowed)
	s.Get("/health", http.HandlerFunc(o.Health.Health))
	s.Get("/livez", http.HandlerFunc(o.Health.Live))
	s.Get("/readyz", http.HandlerFunc(o.Health.Ready))
	s.api = newAPI(s)
	s.Get("/openapi.json", openapi.Handler(s.api))
	s.Internal(authn.KeysPattern, o.Verifier.KeysHandler(o.SigningKey))
	if o.Revocations != nil {
		s.revoked = authn.NewRevocationReader(o.Verifier, o.Revocations, o.Log, o.Metrics)
		s.Background("revocations", s.revoked.Run)
	}
	return s
}

// API returns the API in which a service registers its operations, each through
// authn.Require or authn.Public.
func (s *Server) API() huma.API { return s.api }

// Get adds a route for GET and HEAD that is not in the OpenAPI document.
func (s *Server) Get(pattern string, h http.Handler) {
	s.router.Method(http.MethodGet, pattern, h)
	s.router.Method(http.MethodHead, pattern, h)
}

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler { return s.router }

// PrintDocument returns a subcommand that prints the OpenAPI document of the operations that
// register registers. It needs no settings.
func PrintDocument(name, title string, register func(huma.API)) func(context.Context) error {
	return func(context.Context) error {
		s := New(Options{Name: name, Title: title, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
			Health: health.New(), Verifier: new(authn.Verifier)})
		register(s.api)
		body, err := openapi.Render(s.api)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(append(body, '\n'))
		return err
	}
}

// Run reads the revocations, listens and serves until ctx ends, then drains; see
// lifecycle.Process.Run.
func (s *Server) Run(ctx context.Context) error {
	if s.revoked != nil {
		select {
		case <-s.revoked.Started():
		case <-ctx.Done():
		}
	}
	return s.Process.Run(ctx, &http.Server{
		Handler: s.router, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	})
}
