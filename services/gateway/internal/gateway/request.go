package gateway

import (
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/gateway/internal/compression"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/connection"
	"ecommerce-stack.dev/services/internal/limit"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Request is a request on its way through the stages, with what they have found out.
type Request struct {
	*fasthttp.RequestCtx
	began     time.Time
	conn      *connection.Conn // nil where the listener is none of package connection
	remote    string           // address and port of the peer
	id, trace string
	method    string
	path      string // decoded

	acceptsGzip bool
	ifNoneMatch string // as the client sent it

	refusal error // what is wrong with the request; it counts against the limit first
	page    *page
	route   *route.Route
	allow   string // methods of the path

	client     netip.Addr
	subscriber limit.Key // by address
	caller     limit.Key // the user, else the subscriber
	decision   limit.Decision

	long      bool // takes long by contract: a stream, or a request that asks to wait
	held      int64
	streaming *streaming
	responded bool
}

// begin reads from ctx what every stage needs.
func (r *Request) begin(ctx *fasthttp.RequestCtx, refusal error) {
	*r = Request{RequestCtx: ctx, began: time.Now(), refusal: refusal, method: string(ctx.Method())}
	r.id = string(ctx.Request.Header.Peek(server.RequestIDHeader))
	if !telemetry.ValidRequestID(r.id) {
		r.id = telemetry.NewRequestID()
	}
	r.trace = telemetry.ChildTraceParent(string(ctx.Request.Header.Peek(server.TraceParentHeader)))
	r.acceptsGzip = compression.Accepted(&ctx.Request.Header)
	r.ifNoneMatch = string(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch))
	if r.conn = connection.Of(ctx.Conn()); r.conn != nil {
		r.remote = r.conn.Remote()
	}
}

// refused reports whether something is wrong with the request.
func (r *Request) refused() bool { return r.refusal != nil }

// end returns the request to the pool.
func (r *Request) end() {
	*r = Request{}
	requests.Put(r)
}

// streaming is what a stream needs when it ends, long after its Request is gone.
type streaming struct {
	release  func()
	line     telemetry.Request
	requests *telemetry.Requests
	began    time.Time
}

// end logs and counts a stream that has begun.
func (s *streaming) end() {
	s.release()
	if s.requests == nil {
		return // It has not begun: the request is recorded like any other.
	}
	s.line.At = time.Now()
	s.line.Took = s.line.At.Sub(s.began)
	s.requests.End(s.line)
}
