package telemetry

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/cpu"
)

// Requests logs and counts the requests of a server. It is safe for concurrent use.
type Requests struct {
	lines   RequestLog
	metrics *requestMetrics

	_        cpu.CacheLinePad // Every request writes inFlight; the fields above are only read.
	inFlight atomic.Int64
	_        cpu.CacheLinePad
}

// NewRequests registers the metrics of a server's requests with reg.
func NewRequests(log *slog.Logger, reg prometheus.Registerer) *Requests {
	r := &Requests{lines: NewRequestLog(log), metrics: newRequestMetrics(reg)}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "http_requests_in_flight", Help: "Requests being handled now.",
	}, func() float64 { return float64(r.inFlight.Load()) }))
	return r
}

// Begin counts a request as in flight until End.
func (r *Requests) Begin() { r.inFlight.Add(1) }

// End logs and counts a request that was handled. A request without a route is counted as
// "unmatched"; health probes are logged at debug level.
func (r *Requests) End(q Request) {
	r.inFlight.Add(-1)
	level := slog.LevelInfo
	switch q.Route {
	case "":
		q.Route = "unmatched"
	case "/health", "/livez", "/readyz":
		level = slog.LevelDebug
	}
	q.Method = methodLabel(q.Method)
	q.Path = clip(q.Path)
	if q.At.IsZero() {
		q.At = time.Now()
	}
	r.metrics.of(labels{q.Method, q.Route, q.Status, q.Long}).observe(q.Took, q.At, q.TraceParent)
	r.lines.Log(level, q)
}

// methodLabel bounds the values of the label: a client may send any word as a method.
func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func clip(s string) string {
	const most = 256
	if len(s) > most {
		return s[:most]
	}
	return s
}
