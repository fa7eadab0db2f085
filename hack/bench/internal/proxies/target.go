package proxies

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/usage"
)

// Paths of the origin. Only responses of cachedPath can be cached.
const (
	plainPath  = "/plain"
	tokenPath  = "/token"
	cachedPath = "/cached"
)

// target is a path at a peer.
type target struct {
	name, about, path string
	peer              peer
	// tokens reports whether each request has the token of one of many users,
	// requiresToken whether the peer rejects requests without one. A token makes a request
	// several times as long, even for a peer that ignores it.
	tokens, requiresToken bool
}

func (t target) measurement() string { return "http/" + t.name }

// targets returns all targets, those of the gateway followed by their twins at earlier revisions.
func (ps *Proxies) targets() []target {
	var all []target
	for _, p := range peers() {
		for _, kind := range p.kinds {
			all = append(all, newTarget(p, kind))
			for _, r := range ps.Against {
				if p.isGateway() {
					all = append(all, newTarget(gateway(r), kind))
				}
			}
		}
	}
	return all
}

func newTarget(p peer, kind string) target {
	present, commit := measure.Present(p.name)
	t := target{name: measure.Twin(present+kind, commit), about: p.about, path: plainPath, peer: p}
	switch kind {
	case "-token":
		t.about += fmt.Sprintf(", requests with tokens of %d users", users)
		if t.tokens = true; p.isGateway() {
			t.path, t.requiresToken = tokenPath, true
		}
	case "-cached":
		t.about, t.path = t.about+", cached responses", cachedPath
	}
	return t
}

// Measurements returns the measurements of all targets, those of the gateway followed by their
// twins at earlier revisions. Start must be called before they run.
func (ps *Proxies) Measurements() []measure.Measurement {
	var all []measure.Measurement
	for _, t := range ps.targets() {
		all = append(all, measure.Measurement{Name: t.measurement(), Slow: t.peer.name == "traefik",
			About:   fmt.Sprintf("B3: %s; wrk with %d connections", t.about, connections),
			Measure: func(ctx context.Context, d time.Duration) ([]measure.Figure, error) { return ps.measure(ctx, t, d) }})
	}
	return all
}

func (ps *Proxies) measure(ctx context.Context, t target, d time.Duration) ([]measure.Figure, error) {
	pid := ps.running[t.peer.name].PID
	before, err := usage.OfTree(pid)
	if err != nil {
		return nil, err
	}
	r, err := ps.wrk(ctx, t, d)
	if err != nil {
		return nil, err
	}
	after, err := usage.OfTree(pid)
	return []measure.Figure{
		{Name: "requests", Unit: "/s", Value: r.rate()},
		{Name: "p50", Unit: "ms", Value: r.p50 / 1000},
		{Name: "p99", Unit: "ms", Value: r.p99 / 1000},
		{Name: "CPU", Unit: "µs/request", Value: float64((after.CPU - before.CPU).Microseconds()) / max(1, r.requests)},
	}, err
}

// connections is the number of connections of wrk, each with one request in flight.
const connections = 32

// result is the result of wrk. Times are in microseconds.
type result struct {
	requests, duration, errors float64
	p50, p99                   float64
}

func (r result) rate() float64 { return r.requests / (r.duration / 1e6) }

// wrk loads a target, for a whole number of seconds.
func (ps *Proxies) wrk(ctx context.Context, t target, d time.Duration) (result, error) {
	args := strings.Fields(fmt.Sprintf("-t %d -c %d -d %.0fs --timeout 5s -s", min(2, runtime.NumCPU()), connections, math.Ceil(d.Seconds())))
	args = append(args, filepath.Join(ps.dir, "wrk.lua"), ps.url(t))
	if t.tokens {
		args = append(args, "--", filepath.Join(ps.dir, "tokens"))
	}
	ctx, cancel := context.WithTimeout(ctx, d+30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "wrk", args...).CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	r, err := parse(string(out))
	if err == nil && r.errors > 0 {
		err = fmt.Errorf("%.0f of %.0f requests failed", r.errors, r.requests)
	}
	return r, err
}

// parse parses the line that the script prints.
func parse(out string) (r result, err error) {
	_, line, _ := strings.Cut(out, "RESULT ")
	_, err = fmt.Sscan(line, &r.requests, &r.duration, &r.errors, &r.p50, &r.p99)
	if err == nil && r.duration <= 0 {
		err = errors.New("the duration is not positive")
	}
	if err != nil {
		return r, fmt.Errorf("wrk printed no result: %w\n%s", err, out)
	}
	return r, nil
}
