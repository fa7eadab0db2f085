package gateway

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/compression"
	"ecommerce-stack.dev/services/internal/connection"
	"ecommerce-stack.dev/services/internal/limit"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
)

// Request is a request on its way through the stages, with what they have found out.
type Request struct {
	*fasthttp.RequestCtx
	began     time.Time
	complete  time.Time        // when its body had arrived
	conn      *connection.Conn // nil where the listener is none of package connection
	remote    string           // address and port of the peer
	id, trace string
	parent    string        // the traceparent that the client sent
	span      *tracing.Span // nil if the request is not recorded
	method    string
	path      string // decoded

	// Fields of the request that stages need, as the client sent them. authorization is a part
	// of the header, which does not change before the request is forwarded.
	authorization            []byte
	origin, ifNoneMatch      string
	acceptsGzip, prefersWait bool

	refusal error // what is wrong with the request; it counts against the limit first
	page    *page
	route   *route.Route
	allow   string // methods of the path

	client     netip.Addr
	subscriber limit.Key // by address
	caller     limit.Key // the user, else the subscriber
	decision   limit.Decision

	longRunning   bool  // a stream, or a request that prefers to wait
	bufferedBytes int64 // of the shared buffers
	streaming     *streaming
	responded     bool
}

// begin reads from ctx what every stage needs.
func (r *Request) begin(ctx *fasthttp.RequestCtx, began time.Time, refusal error) {
	*r = Request{}
	r.RequestCtx, r.refusal, r.method = ctx, refusal, method(ctx.Method())
	r.began, r.complete = began, began
	r.readFields(&ctx.Request.Header)
	r.id, r.trace = telemetry.Identify(r.id, r.parent)
	if r.conn = connection.Of(ctx.Conn()); r.conn != nil {
		r.remote = r.conn.Remote()
	}
}

// method returns a method as a string, which is allocated unless it is GET.
func method(m []byte) string {
	if string(m) == http.MethodGet {
		return http.MethodGet
	}
	return string(m)
}

// readFields reads the header in one pass. Of several lines of a name the first counts, unless the
// field is a list.
func (r *Request) readFields(h *fasthttp.RequestHeader) {
	first := func(to *string, value []byte) {
		if *to == "" {
			*to = string(value)
		}
	}
	for name, value := range h.All() {
		switch string(name) {
		case telemetry.RequestIDHeader:
			first(&r.id, value)
		case telemetry.TraceParentHeader:
			first(&r.parent, value)
		case fasthttp.HeaderAuthorization:
			if r.authorization == nil {
				r.authorization = value
			}
		case fasthttp.HeaderOrigin:
			first(&r.origin, value)
		case fasthttp.HeaderIfNoneMatch:
			r.ifNoneMatch += "," + string(value)
		case fasthttp.HeaderAcceptEncoding:
			r.acceptsGzip = compression.Accepted(h)
		case "Prefer":
			r.prefersWait = r.prefersWait || prefersWait(string(value))
		}
	}
}

// prefersWait reports whether preferences include wait (RFC 7240, section 4.3). The service
// decides how long it waits.
func prefersWait(preferences string) bool {
	for preference := range strings.SplitSeq(preferences, ",") {
		name, _, _ := strings.Cut(preference, "=")
		if strings.EqualFold(strings.TrimSpace(name), "wait") {
			return true
		}
	}
	return false
}

// startSpan begins the span of a request, and continues the trace with it.
func (g *Gateway) startSpan(r *Request) error {
	if t := tracing.Active(); t != nil && (r.page == nil || !r.page.unlimited) {
		r.span, r.trace = t.Server(r.parent, r.method, r.began)
	}
	return nil
}

// closeAfterResponse closes the connection, of which not all may be read, after the response.
func (r *Request) closeAfterResponse() {
	r.SetConnectionClose()
	if r.conn != nil {
		r.conn.Linger()
	}
}

// refused reports whether something is wrong with the request.
func (r *Request) refused() bool { return r.refusal != nil }

// end returns the request to the pool.
func (r *Request) end() {
	r.RequestCtx, r.refusal, r.streaming, r.span = nil, nil, nil, nil // begin resets the rest
	requests.Put(r)
}

// streaming is what a stream needs when it ends, long after its Request is gone.
type streaming struct {
	release  func()
	line     telemetry.Request
	requests *telemetry.Requests
	began    time.Time
	span     *tracing.Span
}

// end logs and counts a stream that has begun.
func (s *streaming) end() {
	s.release()
	if s.requests == nil {
		return // It has not begun: the request is recorded like any other.
	}
	s.line.At = time.Now()
	s.line.Took = s.line.At.Sub(s.began)
	s.span.EndServer(s.line)
	s.requests.End(s.line)
}
