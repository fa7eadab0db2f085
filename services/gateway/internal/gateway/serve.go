package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/gateway/internal/cache"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/problem"
)

// page is what the gateway serves itself, to anyone.
type page struct {
	serve     Serve
	pattern   string
	path      string
	below     bool
	unlimited bool
}

// Serve sets the response of a page, or returns an error, whose problem is the response.
type Serve func(*fasthttp.RequestCtx) error

const pageMethods = http.MethodGet + ", " + http.MethodHead + ", " + http.MethodOptions

// Page registers a handler of GET and HEAD for a path, or with "/*" at its end for all
// that is below it, within the default limit of each address. A page takes precedence
// over a route. Pages are registered before the first request.
func (g *Gateway) Page(pattern string, serve Serve) {
	path, below := strings.CutSuffix(pattern, "*")
	g.pages = append(g.pages, page{serve: serve, pattern: pattern, path: path, below: below})
}

// Probe registers a page that is not limited.
func (g *Gateway) Probe(path string, serve Serve) {
	g.pages = append(g.pages, page{serve: serve, pattern: path, path: path, unlimited: true})
}

func (p *page) at(path string) bool {
	return path == p.path || p.below && strings.HasPrefix(path, p.path)
}

// serveLocal serves OPTIONS and pages.
func (g *Gateway) serveLocal(r *Request) error {
	switch {
	case r.Request.Header.IsOptions():
		r.Response.Header.Set(fasthttp.HeaderAllow, r.allow)
		r.Response.SetStatusCode(http.StatusNoContent)
	case r.page != nil:
		r.Request.SetBodyRaw(nil)
		if err := r.page.serve(r.RequestCtx); err != nil {
			return err
		}
	default:
		return nil
	}
	r.responded = true
	return nil
}

// A body is read whole before the upstream is called. Those above smallBody, which no
// operation of the contract needs, are bounded in number, or many slow clients could fill
// the memory.
const (
	smallBody      = 64 << 10
	maxLargeBodies = 16
)

// readBody reads the body of a request, which the server has not. A GET has none that
// means anything (RFC 9110, section 9.3.1).
func (g *Gateway) readBody(r *Request) error {
	from := r.RequestBodyStream()
	if from == nil || r.Request.Header.IsGet() || r.Request.Header.IsHead() {
		r.Request.SetBodyRaw(nil)
		return r.serving()
	}
	var body bytes.Buffer
	body.Grow(min(max(r.Request.Header.ContentLength(), 0), smallBody) + bytes.MinRead)
	_, err := body.ReadFrom(io.LimitReader(from, smallBody+1))
	if err == nil && body.Len() > smallBody {
		if !g.largeBody.TryAcquire(1) {
			r.closeAfterResponse()
			return failure.Unavailable(time.Second, errors.New("too many large bodies are buffered"))
		}
		defer g.largeBody.Release(1)
		_, err = body.ReadFrom(io.LimitReader(from, MaxBody+1-smallBody))
	}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		r.closeAfterResponse()
		return problem.New(http.StatusRequestTimeout, "", "The body did not arrive in time.")
	case err != nil, body.Len() < r.Request.Header.ContentLength():
		r.closeAfterResponse()
		return problem.New(http.StatusBadRequest, "", "The body is malformed, or ended early.")
	case body.Len() > MaxBody:
		r.closeAfterResponse()
		return problem.From(&http.MaxBytesError{Limit: MaxBody})
	}
	r.Request.SetBodyRaw(body.Bytes())
	r.complete = time.Now()
	return r.serving()
}

// serving marks the connection as one that serves a complete request.
func (r *Request) serving() error {
	if r.conn != nil && !r.conn.Serve(r.began) {
		return context.Canceled // The connection was evicted.
	}
	return nil
}

// serveCached serves a public read from the cache.
func (g *Gateway) serveCached(r *Request) error {
	if r.route.Cache == nil {
		return nil
	}
	key, target, ok := cacheKey(r.route, r.path, string(r.URI().QueryString()))
	if !ok {
		return nil
	}
	upstream, timeout := g.Upstreams[r.route.Upstream], r.route.Timeout
	res, err := g.Cache.Get(r.context(), key, func(ctx context.Context) (cache.Response, error) {
		var out cache.Response
		err := upstream.Fetch(ctx, target, timeout, func(resp *fasthttp.Response) { out = stored(resp) })
		return out, err
	})
	if err != nil {
		return err
	}
	res.Write(&r.Response, r.ifNoneMatch, r.acceptsGzip)
	r.responded = true
	return nil
}

func stored(resp *fasthttp.Response) cache.Response {
	out := cache.Response{Status: resp.StatusCode(), Body: bytes.Clone(resp.Body())}
	for i, name := range cache.Stored {
		out.Fields[i] = string(resp.Header.Peek(name))
	}
	return out
}

// cacheKey returns the key of a response, and the target to fetch it from, with the query
// parameters in one order. ok is false for what is never stored: the response to other
// parameters, or to one that is empty or repeated, which the service may refuse.
func cacheKey(to *route.Route, path, rawQuery string) (key cache.Key, target string, ok bool) {
	c := to.Cache
	if c.Kind == route.Item {
		return cache.Key{Text: path}, path, rawQuery == "" && canonicalID(path[strings.LastIndexByte(path, '/')+1:])
	}
	if rawQuery == "" {
		return cache.Key{List: true, Text: path}, path, true
	}
	values, err := url.ParseQuery(rawQuery)
	for name, given := range values {
		if err != nil || len(given) > 1 || given[0] == "" || !slices.Contains(c.Query, name) {
			return cache.Key{}, "", false
		}
	}
	target = path + "?" + values.Encode()
	return cache.Key{List: true, Text: target}, target, err == nil
}

// canonicalID reports whether an event about the id would name it in the same way.
func canonicalID(s string) bool {
	id, err := strconv.ParseInt(s, 10, 64)
	return err == nil && id > 0 && strconv.FormatInt(id, 10) == s
}

// forward sends the request to the service.
func (g *Gateway) forward(r *Request) error {
	to := r.route
	var ended func()
	if r.streaming != nil {
		ended = r.streaming.end
	}
	bufferedBytes, err := g.Upstreams[to.Upstream].Forward(r.RequestCtx, proxy.Call{
		Began: r.complete, Timeout: to.Timeout, Stream: to.Stream, Draining: g.Draining, Ended: ended, LongRunning: r.longRunning, Conn: r.conn, Address: r.client,
		Secure: g.secure(r), RequestID: r.id, TraceParent: r.trace, Span: r.span, Cookies: to.Cookies,
	})
	if !r.Response.IsBodyStream() {
		r.streaming = nil
	}
	if err != nil {
		return err
	}
	r.bufferedBytes, r.responded = bufferedBytes, true
	if to.Changes && r.Response.StatusCode() < http.StatusMultipleChoices {
		g.Cache.Drop()
	}
	return nil
}
