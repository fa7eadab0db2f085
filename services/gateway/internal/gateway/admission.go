package gateway

import (
	"net/http"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/clientaddr"
	"ecommerce-stack.dev/services/internal/limit"
	"ecommerce-stack.dev/services/internal/problem"
)

// How many long-running requests one caller may have, and one address with all the users
// behind it, who may be many, as behind the gateway of an office.
const (
	maxConcurrentByCaller  = 8
	maxConcurrentByAddress = 64
)

// Classes of these limits, beside those of package route.
const classConcurrent, classConcurrentAddress = "concurrent", "concurrent_address"

// findRoute finds the page or the route of a request.
func (g *Gateway) findRoute(r *Request) error {
	if r.refused() {
		return nil
	}
	for i := range g.pages {
		if p := &g.pages[i]; p.at(r.path) {
			r.page, r.allow = p, pageMethods
			if !r.Request.Header.IsGet() && !r.Request.Header.IsHead() && !r.Request.Header.IsOptions() {
				r.refusal = methodNotAllowed(r.allow)
			}
			return nil
		}
	}
	m, known := g.table.Load().Match(r.method, r.path)
	r.route, r.allow = m.Route, m.Allow
	switch {
	case !known:
		r.refusal = problem.New(http.StatusNotFound, "", "Path not found.")
	case m.Route == nil && !r.Request.Header.IsOptions():
		r.refusal = methodNotAllowed(m.Allow)
	case r.Request.Header.ContentLength() > MaxBody:
		r.closeAfterResponse()
		r.refusal = problem.From(&http.MaxBytesError{Limit: MaxBody})
	}
	r.longRunning = m.Route != nil && (m.Route.Stream || r.prefersWait)
	return nil
}

func methodNotAllowed(allow string) *problem.Problem {
	return problem.New(http.StatusMethodNotAllowed, "", "Method not allowed. Allowed: "+allow+".").WithHeader("Allow", allow)
}

// findClient finds the address that a request comes from.
func (g *Gateway) findClient(r *Request) error {
	if r.conn == nil {
		return nil
	}
	r.client = r.conn.Peer()
	if g.Proxies.Trusts(r.client) {
		var hops []string
		for _, line := range r.Request.Header.PeekAll(fasthttp.HeaderXForwardedFor) {
			hops = append(hops, string(line))
		}
		r.client = g.Proxies.Addr(r.client, hops)
	}
	r.subscriber = limit.Key{Addr: clientaddr.Subscriber(r.client)}
	r.caller = r.subscriber
	return nil
}

// secure reports whether the client uses HTTPS, here or at a trusted proxy.
func (g *Gateway) secure(r *Request) bool {
	return r.IsTLS() || r.conn != nil && g.Proxies.Trusts(r.conn.Peer()) &&
		string(r.Request.Header.Peek(fasthttp.HeaderXForwardedProto)) == "https"
}

// authenticate verifies the token of a request to a route that is not public.
func (g *Gateway) authenticate(r *Request) error {
	if r.route == nil || r.route.Access.Public {
		return nil
	}
	caller, err := g.Verifier.Authorize(r.began, r.authorization, r.route.Access.Roles...)
	if r.refusal == nil {
		r.refusal = err
	}
	if caller.UserID != 0 && r.route.Limit != route.LimitLogin {
		r.caller = limit.Key{User: caller.UserID}
	}
	return nil
}

// limitRate holds the caller to the limit of the route, also with requests that are
// refused for another reason.
func (g *Gateway) limitRate(r *Request) error {
	class := route.LimitDefault
	if r.route != nil {
		class = r.route.Limit
	}
	limiter := g.Limits[class]
	if limiter == nil || r.page != nil && r.page.unlimited && r.refusal == nil {
		return nil
	}
	r.decision = limiter.AllowAt(r.began, r.caller)
	if !r.decision.Allowed {
		g.limited.WithLabelValues(class).Inc()
		return problem.TooMany(r.decision.RetryAfter)
	}
	return nil
}

// refuse returns what is wrong with the request.
func (g *Gateway) refuse(r *Request) error { return r.refusal }

// limitConcurrency bounds the long-running requests of a caller, and of its address.
func (g *Gateway) limitConcurrency(r *Request) error {
	if !r.longRunning {
		return nil
	}
	caller, subscriber := r.caller, r.subscriber
	if !g.concurrentByCaller.Acquire(caller) {
		g.limited.WithLabelValues(classConcurrent).Inc()
		return problem.TooManyConcurrent()
	}
	if !g.concurrentByAddress.Acquire(subscriber) {
		g.concurrentByCaller.Release(caller)
		g.limited.WithLabelValues(classConcurrentAddress).Inc()
		return problem.TooManyConcurrent()
	}
	r.streaming = &streaming{release: func() {
		g.concurrentByCaller.Release(caller)
		g.concurrentByAddress.Release(subscriber)
	}}
	return nil
}
