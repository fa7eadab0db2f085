package telemetry

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requestMetrics counts and times requests. It caches the series by their labels, because
// WithLabelValues costs more than the observation. Their number is bounded: clients cannot
// add methods, routes or statuses.
type requestMetrics struct {
	total          *prometheus.CounterVec
	ordinary, long *prometheus.HistogramVec
	known          atomic.Pointer[map[labels]*series] // replaced as a whole
	mu             sync.Mutex                         // is held to replace it
}

// labels select a series.
type labels struct {
	method, route string
	status        int
	long          bool
}

// series has the metrics of the requests with the same labels.
type series struct {
	total    prometheus.Counter
	duration prometheus.Observer
	// exemplarAt is the time of the last exemplar in Unix nanoseconds.
	exemplarAt atomic.Int64
}

// exemplarInterval is the time between two exemplars of a series. Each costs several
// allocations, and a scrape keeps one per bucket.
const exemplarInterval = time.Second

func newRequestMetrics(reg prometheus.Registerer) *requestMetrics {
	names := []string{"method", "route", "status"}
	m := &requestMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total",
			Help: "Requests that were handled, by method, route and status."}, names),
		ordinary: prometheus.NewHistogramVec(HistogramOpts("http_request_duration_seconds",
			"Duration of ordinary requests, by method, route and status.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}), names),
		long: prometheus.NewHistogramVec(HistogramOpts("http_long_request_duration_seconds",
			"Duration of streams and of requests that prefer to wait, by method, route and status.",
			[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}), names),
	}
	m.known.Store(&map[labels]*series{})
	reg.MustRegister(m.total, m.ordinary, m.long)
	return m
}

func (m *requestMetrics) of(key labels) *series {
	if s := (*m.known.Load())[key]; s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	more := maps.Clone(*m.known.Load())
	if s := more[key]; s != nil {
		return s
	}
	durations, status := m.ordinary, strconv.Itoa(key.status)
	if key.long {
		durations = m.long
	}
	s := &series{total: m.total.WithLabelValues(key.method, key.route, status),
		duration: durations.WithLabelValues(key.method, key.route, status)}
	more[key] = s
	m.known.Store(&more)
	return s
}

// observe counts a request that ended at a time, with its trace as an exemplar if the trace
// is sampled and exemplarInterval has passed.
func (s *series) observe(took time.Duration, at time.Time, traceParent string) {
	s.total.Inc()
	now, last := at.UnixNano(), s.exemplarAt.Load()
	due := now-last >= int64(exemplarInterval) || now < last // The clock was set back.
	if due && sampled(traceParent) && s.exemplarAt.CompareAndSwap(last, now) {
		s.duration.(prometheus.ExemplarObserver).ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": traceID(traceParent)})
		return
	}
	s.duration.Observe(took.Seconds())
}
