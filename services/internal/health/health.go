// Package health implements the probes of a service: liveness, readiness, and the state of its
// dependencies. A service whose database is unavailable is live and ready, and responds with 503 and
// Retry-After, so that Kubernetes neither restarts it nor removes it from its Service. The state of
// the dependencies is in /health, for people and dashboards.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// checkTimeout is the timeout of a check.
	checkTimeout = 2 * time.Second
	// reportTTL is the time for which a report is reused: /health is public, and a check is a
	// load on the dependency.
	reportTTL = time.Second
)

// IsProbe reports whether a path is that of a probe.
func IsProbe(path string) bool { return path == "/health" || path == "/livez" || path == "/readyz" }

// Check returns an error if a dependency of the service does not work. It has to return when ctx
// ends.
type Check func(ctx context.Context) error

// Checks has the checks and the readiness of a service. It is made by New, and safe for concurrent
// use.
type Checks struct {
	mu       sync.Mutex
	names    []string
	checks   []Check
	cached   report
	cachedAt time.Time
	now      func() time.Time
	draining atomic.Bool
}

// New returns Checks without a check, of a service that is ready.
func New() *Checks { return &Checks{now: time.Now} }

// Add adds a check. Its error is not in the report, which is public, but makes the status "down".
func (c *Checks) Add(name string, check Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, name)
	c.checks = append(c.checks, check)
	c.cachedAt = time.Time{}
}

// Drain makes the service permanently unready.
func (c *Checks) Drain() { c.draining.Store(true) }

// Draining reports whether Drain was called.
func (c *Checks) Draining() bool { return c.draining.Load() }

type report struct {
	Status string            `json:"status"`
	Checks map[string]result `json:"checks"`
}

type result struct {
	Status  string  `json:"status"`
	Seconds float64 `json:"seconds"`
}

// Values of Status.
const (
	statusUp       = "up"
	statusDown     = "down"
	statusDraining = "draining"
)

// Health handles /health. It runs all checks, and responds with 200 if they pass and the service is
// not draining, else with 503.
func (c *Checks) Health(w http.ResponseWriter, r *http.Request) {
	rep := c.report(context.WithoutCancel(r.Context()))
	if c.Draining() {
		rep.Status = statusDraining
	}
	status := http.StatusOK
	if rep.Status != statusUp {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, rep)
}

// Live handles /livez. It responds with 200.
func (c *Checks) Live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": statusUp})
}

// Ready handles /readyz. It responds with 200 until Drain, then with 503.
func (c *Checks) Ready(w http.ResponseWriter, _ *http.Request) {
	if c.Draining() {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": statusDraining})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": statusUp})
}

// report runs the checks concurrently, unless the cached report is fresh. Concurrent callers share
// one run.
func (c *Checks) report(ctx context.Context) report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Sub(c.cachedAt) < reportTTL {
		return c.cached
	}
	results := make([]result, len(c.checks))
	var wg sync.WaitGroup
	for i, check := range c.checks {
		wg.Go(func() { results[i] = run(ctx, check) })
	}
	wg.Wait()
	rep := report{Status: statusUp, Checks: make(map[string]result, len(results))}
	for i, r := range results {
		rep.Checks[c.names[i]] = r
		if r.Status != statusUp {
			rep.Status = statusDown
		}
	}
	c.cached, c.cachedAt = rep, c.now()
	return rep
}

// run runs a check with checkTimeout.
func run(ctx context.Context, check Check) result {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- check(ctx) }()
	r := result{Status: statusUp}
	select {
	case err := <-done:
		if err != nil {
			r.Status = statusDown
		}
	case <-ctx.Done(): // the check ignores its context
		r.Status = statusDown
	}
	r.Seconds = time.Since(start).Round(time.Microsecond).Seconds()
	return r
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have closed the connection
}
