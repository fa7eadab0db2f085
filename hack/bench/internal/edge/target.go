package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/heap"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/procfs"
)

// Target is a path at a peer.
type Target struct {
	Title string
	about string
	peer  string
	path  string
	// tokens reports whether each request has the token of one of many users,
	// requiresToken whether the peer rejects requests without one.
	tokens, requiresToken bool
	// slow reports whether the first build of the peer takes minutes.
	slow bool
	edge *Edge
}

// sameRequests describes targets that receive the same requests as gateway-token, because
// a token makes a request several times as long, even for a peer that ignores it.
const sameRequests = ", the same requests as gateway-token"

// Targets returns all targets.
func Targets() []Target {
	return []Target{
		{Title: "origin", about: "a no-op origin of about 300 bytes, directly", peer: "origin", path: plainPath},
		{Title: "nginx", about: "nginx before the origin", peer: "nginx", path: plainPath},
		{Title: "haproxy", about: "haproxy before the origin", peer: "haproxy", path: plainPath},
		{Title: "caddy", about: "caddy before the origin", peer: "caddy", path: plainPath},
		{Title: "go-reverseproxy", about: "Go's httputil.ReverseProxy, tuned, before the origin", peer: "go-reverseproxy", path: plainPath},
		{Title: "traefik", about: "Traefik before the origin", peer: "traefik", path: plainPath, slow: true},
		{Title: "fasthttp", about: "a minimal reverse proxy with fasthttp, tuned, before the origin", peer: "fasthttp", path: plainPath},
		{Title: "gateway", about: "the gateway before the origin, public and without a limit", peer: "gateway", path: plainPath},
		{Title: "gateway-token", about: fmt.Sprintf("the gateway before the origin, tokens of %d users and their limits", users), peer: "gateway", path: tokenPath, tokens: true, requiresToken: true},
		{Title: "origin-token", about: "the origin directly" + sameRequests, peer: "origin", path: plainPath, tokens: true},
		{Title: "nginx-token", about: "nginx before the origin" + sameRequests, peer: "nginx", path: plainPath, tokens: true},
		{Title: "go-reverseproxy-token", about: "Go's httputil.ReverseProxy before the origin" + sameRequests, peer: "go-reverseproxy", path: plainPath, tokens: true},
		{Title: "fasthttp-token", about: "a minimal reverse proxy with fasthttp before the origin" + sameRequests, peer: "fasthttp", path: plainPath, tokens: true},
		{Title: "nginx-cached", about: "nginx with proxy_cache", peer: "nginx", path: cachedPath},
		{Title: "varnish-cached", about: "varnish", peer: "varnish", path: cachedPath},
		{Title: "gateway-cached", about: "the gateway's cached reads; without a broker they expire after a second", peer: "gateway", path: cachedPath},
	}
}

// On returns the target with an edge, which must be started before Measure.
func (t Target) On(e *Edge) measure.Measurement {
	t.edge = e
	return t
}

// IsSlowToBuild reports whether the first build of the peer takes minutes.
func (t Target) IsSlowToBuild() bool { return t.slow }

// Name implements measure.Measurement.
func (t Target) Name() string { return "http/" + t.Title }

// About implements measure.Measurement.
func (t Target) About() string {
	return fmt.Sprintf("B3: %s; wrk with %d connections", t.about, connections)
}

// Measure implements measure.Measurement.
func (t Target) Measure(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	pid := t.edge.children[t.peer].PID
	before, err := t.spent(ctx, pid)
	if err != nil {
		return nil, err
	}
	r, err := t.load(ctx, pid, d)
	if err != nil {
		return nil, err
	}
	after, err := t.spent(ctx, pid)
	if err != nil {
		return nil, err
	}
	figures := []measure.Figure{
		{Name: "requests", Unit: "/s", Value: r.rate()},
		{Name: "p50", Unit: "ms", Value: r.p50 / 1000},
		{Name: "p99", Unit: "ms", Value: r.p99 / 1000},
		{Name: "CPU", Unit: "µs/request", Value: float64((after.CPU - before.CPU).Microseconds()) / max(1, r.requests)},
	}
	if after.allocated > 0 {
		figures = append(figures, measure.Figure{Name: "allocations", Unit: "/request", Value: (after.allocated - before.allocated) / max(1, r.requests)})
	}
	return figures, nil
}

// spent is the usage of a peer since its start.
type spent struct {
	procfs.Usage
	allocated float64 // objects; 0 if the peer does not report them
}

func (t Target) spent(ctx context.Context, pid int) (s spent, err error) {
	if s.Usage, err = procfs.Of(pid); err != nil {
		return s, err
	}
	if url := t.edge.metrics[t.peer]; url != "" {
		s.allocated, err = heap.Allocated(ctx, url)
	}
	return s, err
}

// load runs the client, and takes a profile of the gateway if Profiles is set.
func (t Target) load(ctx context.Context, pid int, d time.Duration) (result, error) {
	taker := t.edge.Profiles
	program, _ := measure.Present(t.peer)
	if taker == nil || program != (gateway{}).name() {
		return t.edge.wrk(ctx, t, d)
	}
	if err := taker.Begin(pid); err != nil {
		return result{}, err
	}
	r, err := t.edge.wrk(ctx, t, d)
	return r, errors.Join(err, taker.End(ctx, pid, t.Name(), program))
}
