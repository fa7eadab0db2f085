// Package edge is what the gateway does with a request: find its route, know the
// caller, hold the limits, and answer from the cache or pass it on.
package edge

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/gateway/internal/cache"
	"ecommerce-stack.dev/services/gateway/internal/client"
	"ecommerce-stack.dev/services/gateway/internal/compression"
	"ecommerce-stack.dev/services/gateway/internal/limit"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Options of an Edge.
type Options struct {
	Table     *route.Table
	Upstreams map[string]*proxy.Upstream
	Verifier  *authn.Verifier
	// Limits by class; a class without a limiter is not limited.
	Limits  map[string]*limit.Limiter
	Proxies client.Proxies
	Origins Origins
	Cache   *cache.Cache
	// Draining ends streams.
	Draining <-chan struct{}
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	// Observer counts and logs what Fast answers.
	Observer Observer
}

// Observer is told of requests that are answered beside the server's handler.
type Observer interface {
	Began()
	Answered(r telemetry.Request)
}

// Edge answers every request of the contract.
type Edge struct {
	Options
	table   atomic.Pointer[route.Table]
	pages   []page
	long    *limit.Held
	refused *prometheus.CounterVec
}

// maxLongCalls is what a caller may hold of long calls.
const maxLongCalls = 8

// New makes an Edge.
func New(o Options) *Edge {
	e := &Edge{Options: o, long: limit.NewHeld(maxLongCalls), refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gateway_rate_limited_total", Help: "Requests refused because their caller sent too many.",
	}, []string{"class"})}
	o.Metrics.MustRegister(e.refused)
	e.table.Store(o.Table)
	return e
}

// Use takes another table from the next request on.
func (e *Edge) Use(t *route.Table) { e.table.Store(t) }

// RouteOf gives the route of an operation of an OpenAPI document; nil when it is not
// passed on.
func (e *Edge) RouteOf(method, path string) *route.Route {
	m, _ := e.table.Load().Match(method, path)
	return m.Route
}

// ServeHTTP implements http.Handler.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if personal(r.URL.Path) {
		e.respond(w, r)
		return
	}
	w.Header()["Vary"] = varies
	if !compression.Accepted(r) {
		e.respond(w, r)
		return
	}
	packed := compression.NewWriter(w, r)
	e.respond(packed, r)
	_ = packed.Close() // the client may be gone
}

func (e *Edge) respond(w http.ResponseWriter, r *http.Request) {
	if err := e.serve(w, r); err != nil {
		p := problem.From(err)
		p.Log(r.Context(), e.Log)
		problem.Write(w, r, p)
	}
}

// varies is shared by all answers; its capacity is its length, so whoever appends to
// it has a copy.
var varies = []string{"Accept-Encoding"}

// personal says whether answers at a path hold tokens or an account, and so are never
// compressed. The size of a compressed answer tells how much of a secret in it an
// attacker's own text repeats (BREACH, Gluck, Harris and Prado, 2013). That attack
// needs a browser which sends the victim's requests for the attacker, and ours carry
// their token in a header that only the page itself can set; but nothing is won on
// answers this small, so secrets do not rely on it.
func personal(path string) bool { return strings.HasPrefix(path, "/auth/") }

// Refuse answers what the server refuses before it comes here, as any other answer:
// counted, within the limits, and for scripts to read. The refusal goes before that of
// a token, for no other token would help.
func (e *Edge) Refuse(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	to := unrouted
	_, m, unknown := e.find(r)
	if m.Route != nil {
		to = m.Route
		name(r, to.Path)
	}
	if unknown == nil {
		e.Origins.allow(w.Header(), r, m.Allow)
	}
	_, err := e.admit(w, r, to, limit.Key{Addr: client.Subscriber(e.Proxies.Addr(r))})
	if err != nil {
		if early := problem.From(err); early.Status == http.StatusTooManyRequests {
			p = early
		}
	}
	problem.Write(w, r, p)
}

// unrouted is what holds the callers of what has no route: errors, OPTIONS, and the
// gateway's own pages.
var unrouted = &route.Route{Access: route.Access{Public: true}, Limit: route.LimitDefault}

// serve returns an error only if nothing was answered.
func (e *Edge) serve(w http.ResponseWriter, r *http.Request) error {
	own, m, unknown := e.find(r)
	to := unrouted
	switch {
	case unknown != nil:
	case own != nil:
		name(r, own.pattern)
	case m.Route != nil:
		name(r, m.Route.Path)
		to = m.Route
	}
	if unknown == nil {
		e.Origins.allow(w.Header(), r, m.Allow)
	}
	addr := e.Proxies.Addr(r)
	caller, err := e.admit(w, r, to, limit.Key{Addr: client.Subscriber(addr)})
	switch {
	case err != nil:
		return err
	case unknown != nil:
		return unknown
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", m.Allow)
		w.WriteHeader(http.StatusNoContent)
		return nil
	case own != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		own.ServeHTTP(w, r)
		return nil
	case m.Route == nil:
		return problem.New(http.StatusMethodNotAllowed, "", "This path does not take the method.").WithHeader("Allow", m.Allow)
	}
	return e.answer(w, r, m.Route, caller, addr)
}

// find says what answers a request: a page, or a route, or with neither the methods
// that the path takes.
func (e *Edge) find(r *http.Request) (*page, route.Match, error) {
	if ambiguous(r.URL) {
		return nil, route.Match{}, problem.New(http.StatusBadRequest, "", "A path segment has an encoded slash.")
	}
	for i := range e.pages {
		if p := &e.pages[i]; p.at(r.URL.Path) {
			return p, route.Match{Allow: pageMethods}, nil
		}
	}
	m, known := e.table.Load().Match(r.Method, r.URL.Path)
	if !known {
		return nil, m, problem.NotFound("There is nothing at this path.")
	}
	return nil, m, nil
}

// answer takes a request that is admitted to where its route leads.
func (e *Edge) answer(w http.ResponseWriter, r *http.Request, to *route.Route, caller limit.Key, addr netip.Addr) error {
	upstream := e.Upstreams[to.Upstream]
	if key, query, ok := cacheKey(to, r); ok {
		return e.fromCache(w, r, to, upstream, key, query)
	}
	call := proxy.Call{Timeout: to.Timeout, Stream: to.Stream, Client: addr, Draining: e.Draining, Long: to.Stream || waits(r.Header)}
	if to.Changes {
		call.Succeeded = e.Cache.Drop
	}
	if call.Long {
		release, ok := e.long.Take(caller)
		if !ok {
			e.refused.WithLabelValues("long").Inc()
			return limit.TooManyHeld()
		}
		defer release()
	}
	return upstream.Forward(w, r, call)
}

// waits says whether the client asks that its answer may take long (RFC 7240,
// section 4.3). How long, the service decides.
func waits(h http.Header) bool {
	for _, line := range h["Prefer"] {
		for preference := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(preference, "=")
			if strings.EqualFold(strings.TrimSpace(name), "wait") {
				return true
			}
		}
	}
	return false
}

// ambiguous says whether a service could split the path in another way than we do.
func ambiguous(u *url.URL) bool {
	if u.RawPath == "" {
		return false
	}
	raw := strings.ToLower(u.RawPath)
	return strings.Contains(raw, "%2f") || strings.Contains(raw, "%5c")
}

// name tells logs and metrics the route.
func name(r *http.Request, pattern string) {
	if c := chi.RouteContext(r.Context()); c != nil {
		c.RoutePatterns = append(c.RoutePatterns[:0], pattern)
	}
}

// admit knows the caller and holds the limits, which count calls that are then
// refused for their token, too: by the address, or the user who may not do this. It
// returns whom it counted.
func (e *Edge) admit(w http.ResponseWriter, r *http.Request, to *route.Route, key limit.Key) (limit.Key, error) {
	var refusal error
	if !to.Access.Public {
		var caller authn.Principal
		caller, refusal = e.Verifier.Authorize(r, to.Access.Roles...)
		if caller.UserID != 0 && to.Limit != route.LimitLogin {
			key = limit.Key{User: caller.UserID}
		}
	}
	if limiter := e.Limits[to.Limit]; limiter != nil {
		d := limiter.Allow(key)
		d.Write(w.Header())
		if !d.Allowed {
			e.refused.WithLabelValues(to.Limit).Inc()
			return key, limit.TooFast(d.RetryAfter)
		}
	}
	return key, refusal
}

// fromCache answers a public read.
func (e *Edge) fromCache(w http.ResponseWriter, r *http.Request, to *route.Route, u *proxy.Upstream, key cache.Key, query string) error {
	path := r.URL.Path
	res, err := e.Cache.Get(r.Context(), key, func(ctx context.Context) (cache.Answer, error) {
		a, err := u.Fetch(ctx, path, query, to.Timeout)
		return cache.Answer(a), err
	})
	if err != nil {
		return err
	}
	res.Write(w, r)
	return nil
}

// cacheKey is how an answer is kept, and the query to ask for it with: the
// parameters that matter, in one order. It is not ok for what is never kept.
func cacheKey(to *route.Route, r *http.Request) (key cache.Key, query string, ok bool) {
	if key, ok = simpleKey(to, r.URL.Path, r.URL.RawQuery); ok || to.Cache == nil || to.Cache.Kind == route.Item {
		return key, "", ok
	}
	c := to.Cache
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return cache.Key{}, "", false
	}
	for _, name := range c.Bypass {
		if given.Has(name) {
			return cache.Key{}, "", false
		}
	}
	var b strings.Builder
	for _, name := range c.Query {
		if v := given.Get(name); v != "" {
			b.WriteByte('&')
			b.WriteString(name)
			b.WriteByte('=')
			b.WriteString(url.QueryEscape(v))
		}
	}
	query = strings.TrimPrefix(b.String(), "&")
	return cache.Key{List: true, Text: r.URL.Path + "?" + query}, query, true
}

// simpleKey is cacheKey where there is no query to read.
func simpleKey(to *route.Route, path, query string) (key cache.Key, ok bool) {
	switch {
	case to.Cache == nil:
		return cache.Key{}, false
	case to.Cache.Kind == route.Item:
		return cache.Key{Text: path}, canonicalID(path[strings.LastIndexByte(path, '/')+1:])
	}
	return cache.Key{List: true, Text: path}, query == ""
}

// canonicalID says whether an event about the id would name it in the same way.
func canonicalID(s string) bool {
	id, err := strconv.ParseInt(s, 10, 64)
	return err == nil && id > 0 && strconv.FormatInt(id, 10) == s
}
