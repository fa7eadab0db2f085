// Package health answers whether a service lives, takes requests, and can do its
// work. The three are kept apart: a service whose database is away lives and takes
// requests (it answers 503 with Retry-After), so no orchestrator should restart it
// or take it out of rotation for that; /health tells people and dashboards.
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
	// checkTimeout bounds one check.
	checkTimeout = 2 * time.Second
	// keep is how long an answer of /health is used again: anyone may ask, and a check
	// is work for what it checks.
	keep = time.Second
)

// Check says why something that the service needs does not work now, or nil.
type Check func(ctx context.Context) error

// Checks of a service, and whether it takes requests. The zero value is not usable.
type Checks struct {
	mu       sync.Mutex
	names    []string
	checks   []Check
	last     report
	at       time.Time
	now      func() time.Time
	draining atomic.Bool
}

// New has no checks and takes requests.
func New() *Checks { return &Checks{now: time.Now} }

// Add names a check. Its error is shown to anyone: only its presence, not its text.
func (c *Checks) Add(name string, check Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, name)
	c.checks = append(c.checks, check)
	c.at = time.Time{}
}

// Drain makes the service unready for good.
func (c *Checks) Drain() { c.draining.Store(true) }

// Draining says whether Drain was called.
func (c *Checks) Draining() bool { return c.draining.Load() }

type report struct {
	Status string            `json:"status"`
	Checks map[string]result `json:"checks"`
}

type result struct {
	Status  string  `json:"status"`
	Seconds float64 `json:"seconds"`
}

// Values of status.
const (
	up       = "up"
	down     = "down"
	draining = "draining"
)

// Health runs every check at once: 200 when all pass, 503 otherwise.
func (c *Checks) Health(w http.ResponseWriter, r *http.Request) {
	rep := c.run(context.WithoutCancel(r.Context()))
	if c.Draining() {
		rep.Status = draining
	}
	status := http.StatusOK
	if rep.Status != up {
		status = http.StatusServiceUnavailable
	}
	write(w, status, rep)
}

// Live is 200 while the process can answer at all.
func (c *Checks) Live(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]string{"status": up})
}

// Ready is 200 until Drain, then 503.
func (c *Checks) Ready(w http.ResponseWriter, _ *http.Request) {
	if c.Draining() {
		write(w, http.StatusServiceUnavailable, map[string]string{"status": draining})
		return
	}
	write(w, http.StatusOK, map[string]string{"status": up})
}

// run gives the last report while it is fresh. Callers that come meanwhile wait for
// the one that runs the checks.
func (c *Checks) run(ctx context.Context) report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Sub(c.at) < keep {
		return c.last
	}
	results := make([]result, len(c.checks))
	var wg sync.WaitGroup
	for i, check := range c.checks {
		wg.Go(func() { results[i] = once(ctx, check) })
	}
	wg.Wait()
	rep := report{Status: up, Checks: make(map[string]result, len(results))}
	for i, r := range results {
		rep.Checks[c.names[i]] = r
		if r.Status != up {
			rep.Status = down
		}
	}
	c.last, c.at = rep, c.now()
	return rep
}

func once(ctx context.Context, check Check) result {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- check(ctx) }()
	r := result{Status: up}
	select {
	case err := <-done:
		if err != nil {
			r.Status = down
		}
	case <-ctx.Done(): // a check that does not heed its context
		r.Status = down
	}
	r.Seconds = time.Since(start).Round(time.Microsecond).Seconds()
	return r
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
