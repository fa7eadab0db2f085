// Package gateway handles the requests of clients: each goes through the stages below, in
// this order, and is served from the gateway's own pages, from the cache, or by a service.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/semaphore"

	"ecommerce-stack.dev/services/gateway/internal/cache"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/clientaddr"
	"ecommerce-stack.dev/services/internal/limit"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// stages run in this order until one returns an error, which becomes the response, or has
// set the response. To add a policy, write a stage and add it here.
var stages = []func(*Gateway, *Request) error{
	(*Gateway).checkSyntax,      // refuses what HTTP forbids
	(*Gateway).findRoute,        // by path and method
	(*Gateway).startSpan,        // unless it is a probe
	(*Gateway).findClient,       // its address
	(*Gateway).authenticate,     // by token, if the route is not public
	(*Gateway).limitRate,        // of the user, else of the address
	(*Gateway).refuse,           // what the stages before the limit have found wrong
	(*Gateway).serveLocal,       // OPTIONS, and the gateway's own pages
	(*Gateway).readBody,         // all of it, so that a slow client occupies no service
	(*Gateway).serveCached,      // public reads
	(*Gateway).limitConcurrency, // streams and waits of a client
	(*Gateway).forward,          // to the service
}

// finishers run in this order for every request, after its response is set.
var finishers = []func(*Gateway, *Request){
	(*Gateway).setHeaders,    // request id, hardening, limits, CORS
	(*Gateway).compress,      // for clients that accept it
	(*Gateway).retainBuffers, // of a large response, until it is written
	(*Gateway).record,        // in logs and metrics
}

// Options of a Gateway.
type Options struct {
	Table     *route.Table
	Upstreams map[string]*proxy.Upstream
	Verifier  *authn.Verifier
	// Limits by class; a class without a limiter is not limited.
	Limits  map[string]*limit.Limiter
	Proxies clientaddr.Proxies
	Origins Origins
	Cache   *cache.Cache
	// Buffers has the bytes that large responses share.
	Buffers *semaphore.Weighted
	// Draining ends streams.
	Draining <-chan struct{}
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// Gateway handles requests. It is safe for concurrent use.
type Gateway struct {
	Options
	table     atomic.Pointer[route.Table]
	pages     []page
	requests  *telemetry.Requests
	limited   *prometheus.CounterVec
	largeBody *semaphore.Weighted
	// Long-running requests of one caller, and of one address with all its users.
	concurrentByCaller, concurrentByAddress *limit.Concurrency
}

// New returns a Gateway.
func New(o Options) *Gateway {
	g := &Gateway{Options: o, requests: telemetry.NewRequests(o.Log, o.Metrics), largeBody: semaphore.NewWeighted(maxLargeBodies),
		concurrentByCaller: limit.NewConcurrency(maxConcurrentByCaller), concurrentByAddress: limit.NewConcurrency(maxConcurrentByAddress),
		limited: telemetry.NewCounterVec("gateway_rate_limited_total",
			"Requests refused because their caller sent too many, by class of limit.",
			"class", route.LimitDefault, route.LimitLogin, classConcurrent, classConcurrentAddress)}
	o.Metrics.MustRegister(g.limited)
	g.table.Store(o.Table)
	return g
}

// Use replaces the route table from the next request on.
func (g *Gateway) Use(t *route.Table) { g.table.Store(t) }

// Forwarded implements openapi.ForwardedOf.
func (g *Gateway) Forwarded(method, path string) *openapi.Forwarded {
	m, _ := g.table.Load().Match(method, path)
	if m.Route == nil {
		return nil
	}
	return &openapi.Forwarded{Stream: m.Route.Stream, Cached: m.Route.Cache != nil}
}

// Handle handles a request.
func (g *Gateway) Handle(ctx *fasthttp.RequestCtx) { g.handle(ctx, ctx.Time(), nil) }

// HandleMalformed responds to what is no request, with an error of the HTTP library. The
// library does not renew the deadline of the connection's last response for that.
func (g *Gateway) HandleMalformed(ctx *fasthttp.RequestCtx, err error) {
	now := time.Now()                               // Such a request has no time.
	_ = ctx.SetWriteDeadline(now.Add(writeTimeout)) // fails on a closed connection, as the write will
	g.handle(ctx, now, malformed(err))
}

func (g *Gateway) handle(ctx *fasthttp.RequestCtx, began time.Time, refusal error) {
	r := requests.Get().(*Request)
	r.begin(ctx, began, refusal)
	defer r.end()
	g.requests.Begin()
	g.recoverPanic(r, (*Gateway).run)
	g.recoverPanic(r, (*Gateway).finish)
}

var requests = sync.Pool{New: func() any { return new(Request) }}

func (g *Gateway) run(r *Request) {
	for _, stage := range stages {
		if err := stage(g, r); err != nil {
			g.respond(r, err)
		}
		if r.responded {
			return
		}
	}
}

func (g *Gateway) finish(r *Request) {
	for _, finish := range finishers {
		finish(g, r)
	}
}

// recoverPanic recovers from a panic, which would end the process: the HTTP library does not.
func (g *Gateway) recoverPanic(r *Request, run func(*Gateway, *Request)) {
	defer func() {
		if reason := recover(); reason != nil {
			g.Log.ErrorContext(r.context(), "panic", "panic", fmt.Sprint(reason), "stackTrace", string(debug.Stack()))
			g.respond(r, errors.New("panic"))
		}
	}()
	run(g, r)
}

// respond sets the problem of an error as the response.
func (g *Gateway) respond(r *Request, err error) {
	p := problem.From(err)
	p.Log(r.context(), g.Log)
	r.responded = true
	r.Response.ResetBody()
	r.Response.SetStatusCode(p.Status)
	r.Response.Header.SetContentType(problem.ContentType)
	for name, values := range p.GetHeaders() {
		r.Response.Header.Set(name, values[0])
	}
	body, err := p.ForRequest(r.context(), r.path).MarshalJSON()
	if err != nil {
		r.Response.SetStatusCode(http.StatusInternalServerError)
		return
	}
	r.Response.SetBodyRaw(body)
}

// context returns a context with the ids of the request. It does not end with the client.
func (r *Request) context() context.Context {
	return telemetry.Begin(r.span.Context(context.Background()), r.id, r.trace)
}

// record logs and counts the request; a stream when it has ended.
func (g *Gateway) record(r *Request) {
	line := telemetry.Request{Method: r.method, Path: r.path, Status: r.Response.StatusCode(), Client: r.remote,
		UserID: r.caller.User, Long: r.longRunning, RequestID: r.id, TraceParent: r.trace}
	switch {
	case r.page != nil:
		line.Route = r.page.pattern
	case r.route != nil:
		line.Route = r.route.Path
	}
	if s := r.streaming; s != nil {
		s.line, s.requests, s.began, s.span = line, g.requests, r.began, r.span
		return
	}
	switch {
	case r.Request.Header.IsHead():
	case r.Response.IsBodyStream():
		line.Bytes = r.Response.Header.ContentLength()
	default:
		line.Bytes = len(r.Response.Body())
	}
	line.At = time.Now()
	line.Took = line.At.Sub(r.began)
	r.span.EndServer(line)
	g.requests.End(line)
}
