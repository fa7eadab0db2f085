// Package proxy forwards requests to the services. Each upstream has its own connections,
// circuit breaker and bounds on calls in flight, so that one that hangs takes nothing
// from the others.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sethvargo/go-retry"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/cpu"

	"ecommerce-stack.dev/services/internal/connection"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Connections to one upstream. Idle ones are closed before the upstream closes them
// (after two minutes), or a request could be written to a connection that ends.
const (
	checkTimeout   = 2 * time.Second
	idleTimeout    = time.Minute
	bufferBytes    = 16 << 10 // also bounds the header of a response
	maxInFlight    = 1024
	maxLongRunning = 1024
	retries        = 2
	retryPause     = 25 * time.Millisecond
)

// The breaker of an upstream opens when, of at least 20 calls in ten seconds, half got no
// response. A second later it allows a few calls, and closes after three responses.
// Responses of any status keep it closed, also a 503.
const (
	breakerRate      = 0.5
	breakerCalls     = 20
	breakerWindow    = 10 * time.Second
	breakerDelay     = time.Second
	breakerTrials    = 16
	breakerSuccesses = 3
)

// Upstream is a service behind the gateway. It is safe for concurrent use.
type Upstream struct {
	name   string
	host   string
	client *fasthttp.HostClient
	// deadlines of its connections.
	deadlines connection.Deadlines
	breaker   circuitbreaker.CircuitBreaker[any]
	// Ordinary and long-running calls have separate limits, or a few hundred streams would
	// block all other calls.
	ordinary, longRunning inFlightLimit
	buffers               *semaphore.Weighted
	metrics               *Metrics
}

// inFlightLimit bounds the number of calls in flight.
type inFlightLimit struct {
	max   int64
	_     cpu.CacheLinePad // Every call writes count, and reads the fields beside it.
	count atomic.Int64
	_     cpu.CacheLinePad
}

func (l *inFlightLimit) acquire() bool {
	if l.count.Add(1) > l.max {
		l.count.Add(-1)
		return false
	}
	return true
}

func (l *inFlightLimit) release() { l.count.Add(-1) }

// Values of the label reason.
const reasonFull, reasonBreaker, reasonConnection, reasonBuffers, reasonSize, reasonTimeout = "full", "breaker", "connection", "buffers", "size", "timeout"

// Metrics of all upstreams.
type Metrics struct {
	failures *prometheus.CounterVec
	retries  *prometheus.CounterVec
	open     *prometheus.GaugeVec
	reg      prometheus.Registerer
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	label := []string{"upstream"}
	m := &Metrics{reg: reg,
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_upstream_failures_total", Help: "Calls without a usable response, by upstream and reason.",
		}, []string{"upstream", "reason"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_upstream_retries_total", Help: "Calls that were retried.",
		}, label),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gateway_breaker_open", Help: "1 while the circuit breaker allows no call, else 0.",
		}, label),
	}
	reg.MustRegister(m.failures, m.retries, m.open)
	return m
}

// NewUpstream returns the upstream at an http or https URL without a path. buffers has the
// bytes that the large responses of all upstreams share.
func NewUpstream(name string, base *url.URL, buffers *semaphore.Weighted, m *Metrics) *Upstream {
	u := &Upstream{name: name, host: base.Host, buffers: buffers, metrics: m}
	u.client = &fasthttp.HostClient{
		Addr: fasthttp.AddMissingPort(base.Host, base.Scheme == "https"), IsTLS: base.Scheme == "https",
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: base.Hostname()},
		MaxConns:  maxInFlight + maxLongRunning, MaxIdleConnDuration: idleTimeout, ConnPoolStrategy: fasthttp.LIFO,
		ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes,
		DialTimeout: func(addr string, _ time.Duration) (net.Conn, error) { return u.dial(addr) },
	}
	m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gateway_upstream_in_flight", Help: "Calls in flight, including streams.", ConstLabels: prometheus.Labels{"upstream": name},
	}, func() float64 { return float64(u.ordinary.count.Load() + u.longRunning.count.Load()) }))
	u.ordinary.max, u.longRunning.max = maxInFlight, maxLongRunning
	open := m.open.WithLabelValues(name)
	m.retries.WithLabelValues(name)
	for _, reason := range [...]string{reasonFull, reasonBreaker, reasonConnection, reasonBuffers, reasonSize, reasonTimeout} {
		m.failures.WithLabelValues(name, reason)
	}
	u.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakerRate, breakerCalls, breakerWindow).
		WithDelay(breakerDelay).WithSuccessThresholdRatio(breakerSuccesses, breakerTrials).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			open.Set(0)
			if e.NewState == circuitbreaker.OpenState {
				open.Set(1)
			}
		}).Build()
	return u
}

func (u *Upstream) dial(addr string) (net.Conn, error) {
	conn, err := connection.Dial(context.Background(), addr)
	if err != nil {
		return nil, err
	}
	return u.deadlines.Watch(conn), nil
}

// Name returns the name of the upstream.
func (u *Upstream) Name() string { return u.name }

// Close closes the idle connections.
func (u *Upstream) Close() { u.client.CloseIdleConnections() }

// acquire counts a call until the returned limit is released, or returns an error at the limit.
func (u *Upstream) acquire(longRunning bool) (*inFlightLimit, error) {
	l := &u.ordinary
	if longRunning {
		l = &u.longRunning
	}
	if !l.acquire() {
		u.metrics.failures.WithLabelValues(u.name, reasonFull).Inc()
		return nil, failure.Unavailable(time.Second, errors.New("too many calls are in flight"))
	}
	return l, nil
}

// send makes a call, and retries it if it is a read that got no response. A call that
// changes something is made once: without a response it is unknown whether it was carried
// out. The error is the one to respond with.
func (u *Upstream) send(req *fasthttp.Request, resp *fasthttp.Response, c *call) error {
	c.retryable = req.Header.IsGet() || req.Header.IsHead()
	var backoff retry.Backoff // nil before the first failure
	for resends := 0; ; resends++ {
		if !u.breaker.TryAcquirePermit() {
			u.metrics.failures.WithLabelValues(u.name, reasonBreaker).Inc()
			return failure.Unavailable(u.breaker.RemainingDelay(), errors.New("the circuit breaker is open"))
		}
		span := c.Span.Client(req.Header.Method(), u.host, resends)
		if span != nil {
			c.TraceParent = span.TraceParent()
			req.Header.Set(telemetry.TraceParentHeader, c.TraceParent) // which a client's call does not send
		}
		err := u.exchange(req, resp, c)
		span.EndClient(resp.StatusCode(), err)
		if !errors.Is(err, errNoResponse) {
			u.breaker.RecordSuccess()
			return u.responseError(err, c)
		}
		u.breaker.RecordFailure()
		u.releaseBuffers(c)
		if backoff == nil {
			backoff = retry.WithMaxRetries(retries, retry.WithJitterPercent(50, retry.NewExponential(retryPause)))
		}
		wait, stop := backoff.Next()
		if !c.retryable || stop || time.Until(c.deadline) <= wait {
			return u.responseError(err, c)
		}
		<-time.After(wait)
		u.metrics.retries.WithLabelValues(u.name).Inc()
		resp.Reset()
	}
}

// Errors of exchange.
var (
	errNoResponse         = errors.New("no complete response")
	errTooLarge           = fmt.Errorf("the response exceeds %d bytes", maxResponse)
	errNoBuffer           = errors.New("too many large responses are buffered")
	errClientDisconnected = errors.New("the client disconnected")
)

// responseError counts a failed call, and returns the error to respond with.
func (u *Upstream) responseError(err error, c *call) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("call %s: %w", u.name, err)
	reason := reasonConnection
	public := error(failure.Unavailable(time.Second, err))
	switch {
	case errors.Is(err, errClientDisconnected):
		return errors.Join(err, context.Canceled)
	case errors.Is(err, errNoBuffer):
		reason = reasonBuffers
	case errors.Is(err, errTooLarge):
		reason = reasonSize
	case time.Now().After(c.deadline):
		reason = reasonTimeout
		public = errors.Join(err, context.DeadlineExceeded)
	}
	u.metrics.failures.WithLabelValues(u.name, reason).Inc()
	return public
}
