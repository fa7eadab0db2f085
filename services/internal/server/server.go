// Package server is the HTTP side of every service: a chi router with a huma API
// whose requests are identified, observed, bounded and authenticated alike, the
// probes, the OpenAPI document, the metrics port, and a graceful end.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Config is the part of a service's settings that this package needs.
type Config struct {
	// HTTPAddr is where requests are taken; empty is Options.DefaultAddr.
	HTTPAddr    string `env:"HTTP_ADDR"`
	MetricsAddr string `env:"METRICS_ADDR" envDefault:":9090"`
	// LogLevel is debug, info, warn or error.
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	// ShutdownTimeout is how long requests in flight may finish, and then how long the
	// stop functions may take.
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"20s"`
	// ShutdownDelay is how long a stopping server still takes requests, so that those
	// who send them learn that it is unready.
	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY" envDefault:"0s"`
	// Profiling serves /debug/pprof/ beside the metrics.
	Profiling bool `env:"PROFILING" envDefault:"false"`
}

// Options of a Server.
type Options struct {
	Name        string // of the service
	Title       string // of its OpenAPI document
	DefaultAddr string
	Config      Config
	Log         *slog.Logger
	Metrics     *prometheus.Registry
	Health      *health.Checks
	// Verifier checks tokens; without one (the gateway) there is no huma API.
	Verifier *authn.Verifier
	// Engine takes the connections; nil is net/http's. malformed answers what cannot be
	// read as a request.
	Engine func(h http.Handler, malformed func(http.ResponseWriter, *http.Request, int), l Limits, log *slog.Logger) Engine
	// MaxBody bounds a request's body in bytes, 1 MiB when zero.
	MaxBody int64
	// Timeout bounds the work for one request, 15 s when zero. Slow sets another one
	// for an operation.
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

// Server of one service.
type Server struct {
	opts     Options
	router   *chi.Mux
	observer *observer
	api      huma.API
	stops    []stop
	draining chan struct{}
	bound    chan net.Addr
	refuse   func(http.ResponseWriter, *http.Request, *problem.Problem)
}

type stop struct {
	name string
	fn   func(context.Context) error
}

// New makes a server that does not listen yet.
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
	s := &Server{opts: o, router: chi.NewMux(), draining: make(chan struct{}), bound: make(chan net.Addr, 1),
		refuse: problem.Write, observer: newObserver(o.Log, o.Metrics)}
	s.router.Use(identify, s.observer.observe, s.harden, s.limitBody)
	s.router.NotFound(notFound)
	s.router.MethodNotAllowed(s.methodNotAllowed)
	s.Get("/health", http.HandlerFunc(o.Health.Health))
	s.Get("/livez", http.HandlerFunc(o.Health.Live))
	s.Get("/readyz", http.HandlerFunc(o.Health.Ready))
	if o.Verifier != nil {
		s.api = newAPI(s)
		s.Get("/openapi.json", document(s.api))
	}
	return s
}

// API is where a service registers its operations, each through authn.Require or
// authn.Public.
func (s *Server) API() huma.API { return s.api }

// Get adds a route for GET and HEAD that is no part of the OpenAPI document.
func (s *Server) Get(pattern string, h http.Handler) {
	s.router.Method(http.MethodGet, pattern, h)
	s.router.Method(http.MethodHead, pattern, h)
}

// Fallback answers every request that no route takes, in place of a 404. It may
// tell metrics and logs its own routes by chi's RouteContext.
func (s *Server) Fallback(h http.Handler) { s.router.NotFound(h.ServeHTTP) }

// Refuse answers in place of the server what it refuses before any handler: a body
// that is too large by its own word, a URL that is no text, a method that no route of
// the server takes.
func (s *Server) Refuse(answer func(http.ResponseWriter, *http.Request, *problem.Problem)) {
	s.refuse = answer
}

// Handler is everything that the HTTP port answers.
func (s *Server) Handler() http.Handler { return s.router }

// OnStop registers work for the end, such as the stop of a consumer or the close of
// a pool. The functions run in the order they were registered in, when no request
// is in flight any more, and share Config.ShutdownTimeout.
func (s *Server) OnStop(name string, fn func(context.Context) error) {
	s.stops = append(s.stops, stop{name, fn})
}

// Draining is closed when the server begins to stop: streams and long waits end
// then, or they hold the stop up until its timeout.
func (s *Server) Draining() <-chan struct{} { return s.draining }

// Addr waits until Run listens and says where; tests listen on port 0.
func (s *Server) Addr(ctx context.Context) (net.Addr, error) {
	select {
	case addr := <-s.bound:
		s.bound <- addr
		return addr, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Run listens and serves until ctx ends, then drains: it is unready at once, still
// takes requests for ShutdownDelay, lets those in flight finish for up to
// ShutdownTimeout, and runs the stop functions. It returns nil after a clean end.
func (s *Server) Run(ctx context.Context) error {
	main, metrics := s.engine(), s.metricsServer()
	failed := make(chan error, 2)
	addr, err := listen(ctx, main, s.opts.Config.HTTPAddr, failed)
	if err != nil {
		return s.end(ctx, fmt.Errorf("take requests: %w", err))
	}
	s.bound <- addr
	if _, err := listen(ctx, metrics, s.opts.Config.MetricsAddr, failed); err != nil {
		return s.end(ctx, errors.Join(fmt.Errorf("serve metrics: %w", err), main.Close()))
	}
	s.opts.Log.InfoContext(ctx, "serving", "address", addr.String())
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.opts.Log.InfoContext(ctx, "draining")
	}
	return errors.Join(s.end(ctx, err, main), metrics.Close())
}

func listen(ctx context.Context, srv Engine, addr string, failed chan<- error) (net.Addr, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return l.Addr(), nil
}

// end drains servers and runs the stop functions, after cause or none.
func (s *Server) end(ctx context.Context, cause error, servers ...Engine) error {
	ctx = context.WithoutCancel(ctx)
	errs := []error{cause}
	s.opts.Health.Drain()
	if cause == nil && s.opts.Config.ShutdownDelay > 0 {
		<-time.After(s.opts.Config.ShutdownDelay)
	}
	close(s.draining)
	for _, srv := range servers {
		errs = append(errs, s.shutdown(ctx, srv))
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Config.ShutdownTimeout)
	defer cancel()
	for _, stop := range s.stops {
		if err := stop.fn(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", stop.name, err))
		}
	}
	s.opts.Log.InfoContext(ctx, "stopped")
	return errors.Join(errs...)
}

func (s *Server) shutdown(ctx context.Context, srv Engine) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Config.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests in flight were cut off after %s: %w", s.opts.Config.ShutdownTimeout, err), srv.Close())
	}
	return nil
}

func (s *Server) metricsServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", telemetry.MetricsHandler(s.opts.Metrics))
	timeout := writeTimeout
	if s.opts.Config.Profiling {
		timeout = profileTimeout
		profiles(mux)
	}
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: timeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
}
