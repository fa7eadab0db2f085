// Package lifecycle implements the process of a service: it serves requests and metrics until the
// context ends, drains, and runs the stop functions in order.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
	"ecommerce-stack.dev/services/loglevel"
)

// Config has the settings of a Process.
type Config struct {
	// HTTPAddr is the listen address for requests. Each service has a default.
	HTTPAddr    string `env:"HTTP_ADDR"`
	MetricsAddr string `env:"METRICS_ADDR" envDefault:":9090"`
	// LogLevel is debug, info, warn or error. PUT /log-level at MetricsAddr changes it.
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	// ShutdownTimeout is the timeout for requests in flight to finish, and then again for the
	// stop functions.
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"20s"`
	// ShutdownDelay is the time for which a stopping process still accepts requests, so that
	// it is removed from load balancing first.
	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY" envDefault:"0s"`
	// Profiling enables /debug/pprof/ at the metrics address.
	Profiling bool `env:"PROFILING" envDefault:"false"`
	// Tracing has the variables OTEL_*.
	Tracing tracing.Config
}

// Server is an HTTP server, such as *http.Server. Serve returns http.ErrServerClosed or
// nil after Shutdown or Close.
type Server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// Options of a Process.
type Options struct {
	Config  Config
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Health  *health.Checks
}

// Process is the process of a service. Functions are registered before Run.
type Process struct {
	Options
	stops    []stopFunc
	internal map[string]http.Handler
	draining chan struct{}
	listens  chan net.Addr
}

type stopFunc struct {
	name string
	fn   func(context.Context) error
}

// New returns a Process that does not listen yet.
func New(o Options) *Process {
	return &Process{Options: o, internal: map[string]http.Handler{}, draining: make(chan struct{}), listens: make(chan net.Addr, 1)}
}

// Internal registers a handler at the metrics address, which clients cannot reach. Anyone in
// the cluster can, so it must neither change anything nor return what is secret.
func (p *Process) Internal(pattern string, h http.Handler) { p.internal[pattern] = h }

// OnStop registers a stop function, for example to stop a consumer. Stop functions run in the order of
// registration, after the requests in flight have finished, and share Config.ShutdownTimeout.
func (p *Process) OnStop(name string, fn func(context.Context) error) {
	p.stops = append(p.stops, stopFunc{name, fn})
}

// Draining returns a channel that is closed when the process begins to stop, to end streams and long
// waits.
func (p *Process) Draining() <-chan struct{} { return p.draining }

// Addr waits until Run listens, and returns the address. It returns the error of ctx if that ends
// first.
func (p *Process) Addr(ctx context.Context) (net.Addr, error) {
	select {
	case addr := <-p.listens:
		p.listens <- addr
		return addr, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Run serves requests with main, and metrics, until ctx ends. Then it becomes unready, accepts
// requests for ShutdownDelay, waits up to ShutdownTimeout for the requests in flight, and runs the
// stop functions. It returns nil if all of that succeeds.
func (p *Process) Run(ctx context.Context, main Server) error {
	metrics := p.metricsServer()
	failed := make(chan error, 2)
	addr, err := listen(ctx, main, p.Config.HTTPAddr, failed)
	if err != nil {
		return p.stop(ctx, fmt.Errorf("listen for requests: %w", err))
	}
	p.listens <- addr
	if _, err := listen(ctx, metrics, p.Config.MetricsAddr, failed); err != nil {
		return p.stop(ctx, errors.Join(fmt.Errorf("serve metrics: %w", err), main.Close()))
	}
	p.Log.InfoContext(ctx, "serving", "address", addr.String())
	select {
	case err = <-failed:
	case <-ctx.Done():
		p.Log.InfoContext(ctx, "draining")
	}
	return errors.Join(p.stop(ctx, err, main), metrics.Close())
}

func listen(ctx context.Context, s Server, addr string, failed chan<- error) (net.Addr, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return l.Addr(), nil
}

// stop drains servers and runs the stop functions. It returns their errors and cause, which is nil
// unless an error stops the process.
func (p *Process) stop(ctx context.Context, cause error, servers ...Server) error {
	ctx = context.WithoutCancel(ctx)
	errs := []error{cause}
	p.Health.Drain()
	if cause == nil && p.Config.ShutdownDelay > 0 {
		<-time.After(p.Config.ShutdownDelay)
	}
	close(p.draining)
	for _, s := range servers {
		errs = append(errs, p.shutdown(ctx, s))
	}
	ctx, cancel := context.WithTimeout(ctx, p.Config.ShutdownTimeout)
	defer cancel()
	for _, stop := range p.stops {
		if err := stop.fn(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", stop.name, err))
		}
	}
	p.Log.InfoContext(ctx, "stopped")
	return errors.Join(errs...)
}

func (p *Process) shutdown(ctx context.Context, s Server) error {
	ctx, cancel := context.WithTimeout(ctx, p.Config.ShutdownTimeout)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests in flight did not finish within %s: %w", p.Config.ShutdownTimeout, err), s.Close())
	}
	return nil
}

// Timeouts and limits, in bytes, of connections to the metrics server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

func (p *Process) metricsServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", telemetry.MetricsHandler(p.Metrics))
	mux.Handle(loglevel.Path, telemetry.LevelHandler(p.Log))
	for pattern, h := range p.internal {
		mux.Handle(pattern, h)
	}
	timeout := writeTimeout
	if p.Config.Profiling {
		timeout = profileTimeout
		registerProfiling(mux)
	}
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: timeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug),
	}
}
