package telemetry

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// durations is the histogram of how long answers took. It remembers the parts of it that
// were asked for: to find one by its labels costs more than all the rest of counting.
// There are as many as there are methods, routes and statuses together, which nobody
// outside can add to.
type durations struct {
	vec   *prometheus.HistogramVec
	known atomic.Pointer[map[answered]prometheus.Observer] // replaced as a whole
	mu    sync.Mutex                                       // of whoever replaces it
}

// answered is what the durations are told apart by.
type answered struct {
	method, route string
	status        int
}

func newDurations() *durations {
	d := &durations{vec: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Time to answer a request, by route.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"method", "route", "status"})}
	d.known.Store(&map[answered]prometheus.Observer{})
	return d
}

func (d *durations) of(method, route string, status int) prometheus.Observer {
	key := answered{method, route, status}
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
