package gateway

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/internal/compression"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Names and values as the HTTP library has them.
var (
	requestID, traceParent = []byte(telemetry.RequestIDHeader), []byte(telemetry.TraceParentHeader)
	vary                   = []byte(fasthttp.HeaderVary)
	hardening              = func() (fields [len(server.Hardening)]struct{ name, value []byte }) {
		for i, f := range server.Hardening {
			fields[i].name, fields[i].value = []byte(f.Name), []byte(f.Value)
		}
		return fields
	}()
)

// setHeaders sets the header fields that every response has.
func (g *Gateway) setHeaders(r *Request) {
	h := &r.Response.Header
	var present [len(hardening)]bool
	for name := range h.All() {
		for i := range hardening {
			present[i] = present[i] || bytes.Equal(name, hardening[i].name)
		}
	}
	for i := range hardening {
		if !present[i] {
			h.SetCanonical(hardening[i].name, hardening[i].value)
		}
	}
	var buf [64]byte
	h.SetCanonical(requestID, append(buf[:0], r.id...))
	h.SetCanonical(traceParent, append(buf[:0], r.trace...))
	if r.decision.Limit > 0 {
		r.decision.Set(h)
	}
	var differs []byte
	if !isPersonal(r.path) {
		differs = append(buf[:0], fasthttp.HeaderAcceptEncoding...)
	}
	if len(g.Origins) > 0 {
		if len(differs) > 0 {
			differs = append(differs, ", "...)
		}
		differs = append(differs, fasthttp.HeaderOrigin...)
	}
	if len(differs) > 0 {
		h.SetCanonical(vary, differs)
	}
	g.Origins.allow(r)
}

// isPersonal reports whether responses at a path hold tokens or an account, and so are never
// compressed. The size of a compressed response shows how much of a secret in it an
// attacker's own text repeats (BREACH, Gluck, Harris and Prado, 2013). That attack needs a
// browser which sends the victim's requests for the attacker, and ours carry their token in
// a field that only the page itself can set; but responses this small gain nothing.
func isPersonal(path string) bool { return strings.HasPrefix(path, "/auth/") }

// compress compresses the response for a client that accepts it.
func (g *Gateway) compress(r *Request) {
	if r.acceptsGzip && !r.Response.IsBodyStream() && !isPersonal(r.path) {
		compression.Apply(&r.Response, r.ifNoneMatch)
	}
}

// A client has drainAtLeast to read a large response, and after that reads this many bytes
// a second.
const (
	drainAtLeast = 10 * time.Second
	drainRate    = 64 << 10
)

// retainBuffers keeps the buffers of a large response until the client has read it.
func (g *Gateway) retainBuffers(r *Request) {
	if r.bufferedBytes == 0 {
		return
	}
	body := r.Response.Body()
	r.Response.SwapBody(nil) // or the memory would be reused
	if len(body) <= proxy.SmallResponse {
		g.Buffers.Release(r.bufferedBytes)
		r.Response.SetBodyRaw(body)
		return
	}
	size := r.bufferedBytes
	r.Response.SetBodyStream(&retainedBody{bytes.NewReader(body), func() { g.Buffers.Release(size) }}, len(body))
	drain := drainAtLeast + time.Duration(len(body))*time.Second/drainRate
	_ = r.SetWriteDeadline(time.Now().Add(drain)) // fails on a closed connection, as the write will
}

// retainedBody is a body in memory that is released when the server closes it.
type retainedBody struct {
	*bytes.Reader
	release func()
}

// Close implements io.Closer.
func (b *retainedBody) Close() error {
	b.release()
	return nil
}

// Origins are the web origins whose scripts may call (Fetch, section 3.2); "*" is all of
// them. Tokens travel in a field that a script sets itself, so no origin is allowed
// credentials.
type Origins []string

// What scripts may send and see beyond what Fetch allows everyone.
const (
	requestHeaders  = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, Traceparent, X-Request-Id"
	responseHeaders = "Accept-Encoding, Age, Cache-Status, ETag, Idempotent-Replayed, Location, Preference-Applied, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, Traceparent, WWW-Authenticate, X-Request-Id"
	preflightAge    = "600"
)

// allow sets the fields for a script's request, or for its preflight, which asks for them
// and nothing else.
func (o Origins) allow(r *Request) {
	if len(o) == 0 {
		return
	}
	h, origin := &r.Response.Header, r.origin
	if origin == "" || !slices.Contains(o, origin) && !slices.Contains(o, "*") {
		return
	}
	h.Set(fasthttp.HeaderAccessControlAllowOrigin, origin)
	if r.method != http.MethodOptions || len(r.Request.Header.Peek(fasthttp.HeaderAccessControlRequestMethod)) == 0 {
		h.Set(fasthttp.HeaderAccessControlExposeHeaders, responseHeaders)
		return
	}
	h.Set(fasthttp.HeaderAccessControlAllowMethods, r.allow)
	h.Set(fasthttp.HeaderAccessControlAllowHeaders, requestHeaders)
	h.Set(fasthttp.HeaderAccessControlMaxAge, preflightAge)
}
