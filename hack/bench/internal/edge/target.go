package edge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/profile"
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
	name, about, peer, path string
	// tokens reports whether each request has the token of one of many users,
	// requiresToken whether the peer rejects requests without one.
	tokens, requiresToken bool
}

func (t target) measurement() string { return "http/" + t.name }

// sameRequests describes targets that receive the same requests as gateway-token, because
// a token makes a request several times as long, even for a peer that ignores it.
const sameRequests = ", the same requests as gateway-token"

// targets returns all targets, those of the gateway followed by their twins at earlier revisions.
func (e *Edge) targets() []target {
	all := []target{
		{name: "origin", about: "a no-op origin of about 300 bytes, directly", peer: "origin", path: plainPath},
		{name: "nginx", about: "nginx before the origin", peer: "nginx", path: plainPath},
		{name: "haproxy", about: "haproxy before the origin", peer: "haproxy", path: plainPath},
		{name: "caddy", about: "caddy before the origin", peer: "caddy", path: plainPath},
		{name: "go-reverseproxy", about: "Go's httputil.ReverseProxy, tuned, before the origin", peer: "go-reverseproxy", path: plainPath},
		{name: "traefik", about: "Traefik before the origin", peer: "traefik", path: plainPath},
		{name: "fasthttp", about: "a minimal reverse proxy with fasthttp, tuned, before the origin", peer: "fasthttp", path: plainPath},
		{name: "gateway", about: "the gateway before the origin, public and without a limit", peer: "gateway", path: plainPath},
		{name: "gateway-token", about: fmt.Sprintf("the gateway before the origin, tokens of %d users and their limits", users), peer: "gateway", path: tokenPath, tokens: true, requiresToken: true},
		{name: "origin-token", about: "the origin directly" + sameRequests, peer: "origin", path: plainPath, tokens: true},
		{name: "nginx-token", about: "nginx before the origin" + sameRequests, peer: "nginx", path: plainPath, tokens: true},
		{name: "go-reverseproxy-token", about: "Go's httputil.ReverseProxy before the origin" + sameRequests, peer: "go-reverseproxy", path: plainPath, tokens: true},
		{name: "fasthttp-token", about: "a minimal reverse proxy with fasthttp before the origin" + sameRequests, peer: "fasthttp", path: plainPath, tokens: true},
		{name: "nginx-cached", about: "nginx with proxy_cache", peer: "nginx", path: cachedPath},
		{name: "varnish-cached", about: "varnish", peer: "varnish", path: cachedPath},
		{name: "gateway-cached", about: "the gateway's cached reads; without a broker they expire after a second", peer: "gateway", path: cachedPath},
	}
	var withTwins []target
	for _, t := range all {
		withTwins = append(withTwins, t)
		for _, r := range e.Against {
			if twin := t; isGateway(t.peer) {
				twin.name, twin.peer, twin.about = measure.Twin(t.name, r.Commit), gateway(r).name, t.about+", as built from "+r.Commit
				withTwins = append(withTwins, twin)
			}
		}
	}
	return withTwins
}

// Measurements returns the measurements of all targets, those of the gateway followed by their
// twins at earlier revisions. Start must be called before they run.
func (e *Edge) Measurements() []measure.Measurement {
	var all []measure.Measurement
	for _, t := range e.targets() {
		all = append(all, measure.Measurement{Name: t.measurement(), Slow: t.peer == "traefik",
			About:   fmt.Sprintf("B3: %s; wrk with %d connections", t.about, connections),
			Measure: func(ctx context.Context, d time.Duration) ([]measure.Figure, error) { return e.measure(ctx, t, d) }})
	}
	return all
}

func (e *Edge) measure(ctx context.Context, t target, d time.Duration) ([]measure.Figure, error) {
	before, err := e.spent(ctx, t.peer)
	if err != nil {
		return nil, err
	}
	profiles, r := e.Profiles, result{}
	if !isGateway(t.peer) {
		profiles = ""
	}
	err = profile.During(ctx, profiles, t.measurement(), map[string]string{"gateway": e.running[t.peer].metrics}, d, func() (err error) {
		r, err = e.wrk(ctx, t, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	after, err := e.spent(ctx, t.peer)
	if err != nil {
		return nil, err
	}
	figures := []measure.Figure{
		{Name: "requests", Unit: "/s", Value: r.rate()},
		{Name: "p50", Unit: "ms", Value: r.p50 / 1000},
		{Name: "p99", Unit: "ms", Value: r.p99 / 1000},
		{Name: "CPU", Unit: "µs/request", Value: float64((after.CPU - before.CPU).Microseconds()) / max(1, r.requests)},
	}
	if after.Objects > 0 {
		figures = append(figures, measure.Figure{Name: "allocations", Unit: "/request", Value: (after.Objects - before.Objects) / max(1, r.requests)})
	}
	return figures, nil
}

// spent returns the usage of a peer since its start, with allocations if it has metrics.
func (e *Edge) spent(ctx context.Context, peer string) (usage.Usage, error) {
	u, err := usage.OfTree(e.running[peer].PID)
	if url := e.running[peer].metrics; url != "" && err == nil {
		u.Objects, err = usage.Objects(ctx, url)
	}
	return u, err
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
func (e *Edge) wrk(ctx context.Context, t target, d time.Duration) (result, error) {
	args := []string{"-t", strconv.Itoa(min(2, runtime.NumCPU())), "-c", strconv.Itoa(connections), "-d", fmt.Sprintf("%.0fs", math.Ceil(d.Seconds())),
		"--timeout", "5s", "-s", e.scriptFile(), e.url(t)}
	if t.tokens {
		args = append(args, "--", e.tokensFile())
	}
	ctx, cancel := context.WithTimeout(ctx, d+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "wrk", args...)
	// The kernel sends Pdeathsig when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
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
