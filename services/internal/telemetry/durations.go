package telemetry

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// durations is the histogram of request durations. It caches the observers by their labels,
// because WithLabelValues costs more than the observation. Their number is bounded: clients
// cannot add methods, routes or statuses.
type durations struct {
	vec   *prometheus.HistogramVec
	known atomic.Pointer[map[labels]prometheus.Observer] // replaced as a whole
	mu    sync.Mutex                                     // is held to replace it
}

// labels of the histogram.
type labels struct {
	method, route string
	status        int
}

func newDurations() *durations {
	d := &durations{vec: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Duration of requests, by method, route and status.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"method", "route", "status"})}
	d.known.Store(&map[labels]prometheus.Observer{})
	return d
}

func (d *durations) of(method, route string, status int) prometheus.Observer {
	key := labels{method, route, status}
	if o := (*d.known.Load())[key]; o != nil {
		return o
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.vec.WithLabelValues(method, route, strconv.Itoa(status))
	more := maps.Clone(*d.known.Load())
	more[key] = o
	d.known.Store(&more)
	return o
}
