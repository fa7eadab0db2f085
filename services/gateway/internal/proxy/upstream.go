// Package proxy passes requests on to the services. Each upstream has its own
// connections, circuit breaker and bound on calls in flight, so that one that hangs
// takes nothing from the others.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/cpu"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
	"ecommerce-stack.dev/services/gateway/internal/http1"
	"ecommerce-stack.dev/services/internal/problem"
)

// Connections to one upstream. The idle ones are closed before the upstream does
// (after two minutes), or a request could be written to a connection that ends.
const (
	dialTimeout  = 2 * time.Second
	idlePerHost  = 256
	idleTimeout  = time.Minute
	bufferBytes  = 16 << 10
	maxHeader    = 64 << 10
	maxInFlight  = 1024
	maxLong      = 1024
	retries      = 2
	retryPause   = 25 * time.Millisecond
	clientImpact = 2 * time.Second
)

// The breaker of an upstream opens when, of at least 20 calls in ten seconds, half
// got no answer. A second later it lets a few calls try, and closes after three
// answers. Answers of any status keep it closed: an upstream that says 503 is there
// to say it.
const (
	breakerRate   = 0.5
	breakerCalls  = 20
	breakerWindow = 10 * time.Second
	breakerDelay  = time.Second
	breakerTrials = 16
	breakerHealed = 3
)

// Causes of a canceled call.
var (
	errTimeout = errors.New("the upstream took too long")
	// errDraining ends a stream when the gateway stops.
	errDraining = errors.New("the gateway stops")
)

// Upstream is a service behind the gateway. It is safe for concurrent use.
type Upstream struct {
	name    string
	base    *url.URL
	round   transport
	breaker circuitbreaker.CircuitBreaker[any]
	// ordinary calls and long ones have places of their own, or a few hundred streams
	// would leave none for anything else.
	ordinary, long, large places
	metrics               *Metrics
}

// places are taken by at most so many at once.
type places struct {
	most  int64
	_     cpu.CacheLinePad // Each call of each loop writes taken, and reads what would stand beside it.
	taken atomic.Int64
	_     cpu.CacheLinePad
}

func (p *places) take() bool {
	if p.taken.Add(1) > p.most {
		p.taken.Add(-1)
		return false
	}
	return true
}

func (p *places) free() { p.taken.Add(-1) }

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
			Name: "gateway_upstream_failures_total", Help: "Calls that got no answer, by upstream and reason.",
		}, []string{"upstream", "reason"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_upstream_retries_total", Help: "Calls that were made again.",
		}, label),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gateway_breaker_open", Help: "1 while the circuit breaker lets no call through.",
		}, label),
	}
	reg.MustRegister(m.failures, m.retries, m.open)
	return m
}

// NewUpstream makes an upstream of an http or https URL without a path. Loops run its
// connections over http, unless it is nil.
func NewUpstream(name string, base *url.URL, loops *eventloop.Group, m *Metrics) *Upstream {
	u := &Upstream{name: name, base: base, metrics: m, round: newTransport(base, loops)}
	m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gateway_upstream_in_flight", Help: "Calls in flight, streams among them.", ConstLabels: prometheus.Labels{"upstream": name},
	}, func() float64 { return float64(u.ordinary.taken.Load() + u.long.taken.Load()) }))
	u.ordinary.most, u.long.most, u.large.most = maxInFlight, maxLong, largeBodies
	open := m.open.WithLabelValues(name)
	u.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakerRate, breakerCalls, breakerWindow).
		WithDelay(breakerDelay).WithSuccessThresholdRatio(breakerHealed, breakerTrials).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			open.Set(0)
			if e.NewState == circuitbreaker.OpenState {
				open.Set(1)
			}
		}).Build()
	return u
}

// transport makes calls over connections that it keeps.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

func newTransport(base *url.URL, loops *eventloop.Group) transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if base.Scheme == "https" {
		return &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
			MaxIdleConns: 0, MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: idleTimeout,
			DisableCompression: true, ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes, MaxResponseHeaderBytes: maxHeader,
		}
	}
	address := base.Host
	if base.Port() == "" {
		address = net.JoinHostPort(base.Hostname(), "80")
	}
	return &http1.Transport{
		Dial:    func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) },
		MaxIdle: idlePerHost, IdleTimeout: idleTimeout, MaxHeader: maxHeader, Loops: loops,
	}
}

// Name of the upstream.
func (u *Upstream) Name() string { return u.name }

// Close ends the idle connections.
func (u *Upstream) Close() { u.round.CloseIdleConnections() }

// enter takes a place among the calls in flight, until leave.
func (u *Upstream) enter(long bool) error {
	if !u.among(long).take() {
		u.metrics.failures.WithLabelValues(u.name, "full").Inc()
		return problem.Unavailable(time.Second)
	}
	return nil
}

func (u *Upstream) leave(long bool) { u.among(long).free() }

func (u *Upstream) among(long bool) *places {
	if long {
		return &u.long
	}
	return &u.ordinary
}

// send makes a call, and again when it is a read that got no answer. A call that
// changes something is made once: without an answer nobody knows whether it was
// carried out. The error is what to tell the client.
func (u *Upstream) send(req *http.Request, long bool) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		if told := u.permit(); told != nil {
			return nil, told
		}
		began := time.Now()
		res, err := u.round.RoundTrip(req)
		if err == nil {
			u.breaker.RecordSuccess()
			return res, nil
		}
		if again, told := u.failed(req.Context(), req.Method, err, began, long, attempt); !again {
			return nil, told
		}
		if req, err = anew(req); err != nil {
			return nil, err
		}
	}
}

// anew is a request for another attempt: the one before has read the body.
func anew(req *http.Request) (*http.Request, error) {
	if req.GetBody == nil {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("read the body again: %w", err)
	}
	again := *req
	again.Body = body
	return &again, nil
}

// permit asks the breaker.
func (u *Upstream) permit() (told error) {
	if !u.breaker.TryAcquirePermit() {
		u.metrics.failures.WithLabelValues(u.name, "breaker").Inc()
		return problem.Unavailable(u.breaker.RemainingDelay())
	}
	return nil
}

// failed tells the breaker of an attempt without an answer, and says whether there is to
// be another one, for which it has waited, or what to tell the client.
func (u *Upstream) failed(ctx context.Context, method string, err error, began time.Time, long bool, attempt int) (again bool, told error) {
	told, ours := u.explain(ctx, err)
	u.settle(ours || !long && time.Since(began) > clientImpact)
	read := method == http.MethodGet || method == http.MethodHead
	if !read || !ours || attempt == retries || !pause(ctx, retryPause<<attempt) {
		return false, told
	}
	u.metrics.retries.WithLabelValues(u.name).Inc()
	return true, nil
}

// settle tells the breaker of a call without an answer. Clients that give up after
// a while say something about the upstream, too; those that leave at once do not,
// nor do those that leave a call which is slow by contract.
func (u *Upstream) settle(failed bool) {
	if failed {
		u.breaker.RecordFailure()
		return
	}
	u.breaker.RecordSuccess()
}

// explain turns the error of a call into what the client is told, and says whether
// it is the upstream's fault.
func (u *Upstream) explain(ctx context.Context, err error) (told error, ours bool) {
	if errors.Is(err, http1.ErrRequest) {
		return problem.New(http.StatusBadRequest, "", "This is no request that can be passed on."), false
	}
	reason := "connection"
	told = problem.Unavailable(time.Second).Because(fmt.Errorf("call %s: %w", u.name, err))
	switch cause := context.Cause(ctx); {
	case cause == nil:
	case errors.Is(cause, errTimeout):
		reason = "timeout"
		told = fmt.Errorf("call %s: %w", u.name, context.DeadlineExceeded)
	default:
		return fmt.Errorf("call %s: %w", u.name, context.Canceled), false
	}
	u.metrics.failures.WithLabelValues(u.name, reason).Inc()
	return told, true
}

// pause waits between two attempts, a random part of d.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
