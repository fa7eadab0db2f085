package proxy

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/compression"
	"ecommerce-stack.dev/services/internal/connection"
	"ecommerce-stack.dev/services/internal/deadline"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Call describes how a request is forwarded.
type Call struct {
	// Began is when the request had arrived. Timeout is how long after that the response has to
	// be complete, or for a stream to begin.
	Began   time.Time
	Timeout time.Duration
	// Stream allows a response whose end is not foreseeable. Draining ends it, and Ended is
	// called when it has ended, unless it is nil.
	Stream   bool
	Draining <-chan struct{}
	Ended    func()
	// Long is set for a request that takes long by contract: a stream, or one that asks to
	// wait. Such requests take no places of others, and end when the client has left.
	Long bool
	// Conn is the client's connection, Address the client's address, Secure whether the
	// client uses HTTPS.
	Conn    *connection.Conn
	Address netip.Addr
	Secure  bool

	RequestID, TraceParent string
	// Cookies are the names of those that the service receives.
	Cookies []string
}

// Forward sends the request of ctx to the upstream, and sets the response. held bytes of
// the shared buffers belong to the response until the caller releases them. Forward
// returns the error to respond with if there is no response; c.Ended is
// called unless the response is a stream.
func (u *Upstream) Forward(ctx *fasthttp.RequestCtx, c Call) (held int64, err error) {
	place, err := u.enter(c.Long)
	if err != nil {
		c.end(nil)
		return 0, err
	}
	x := call{began: c.Began, deadline: c.Began.Add(c.Timeout), stream: c.Stream}
	if c.Long {
		x.client = c.Conn
	}
	chunked := ctx.Request.Header.IsHTTP11()
	u.prepare(&ctx.Request, c, x.deadline)
	if err := u.send(&ctx.Request, &ctx.Response, &x); err != nil {
		c.end(place)
		ctx.Response.Reset()
		return 0, err
	}
	removeHopByHop(&ctx.Response.Header)
	if x.source == nil {
		c.end(place)
		return x.held, nil
	}
	s := newStream(x.source, ctx.Conn(), c.Draining, func() { c.end(place) })
	if !chunked {
		untilClose(ctx, s)
		return 0, nil
	}
	ctx.Response.ImmediateHeaderFlush = true
	ctx.Response.SetBodyStream(s, -1)
	return 0, nil
}

// end frees the place of the call, if it has one.
func (c *Call) end(p *places) {
	if p != nil {
		p.free()
	}
	if c.Ended != nil {
		c.Ended()
	}
}

// untilClose makes a stream the response to a client of HTTP/1.0, which knows no chunks:
// the body ends with the connection (RFC 9112, section 6.3). The server frames every
// stream, so the connection is taken from it.
func untilClose(ctx *fasthttp.RequestCtx, s *stream) {
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) {
		defer s.Close()
		h := &ctx.Response.Header
		h.Del(fasthttp.HeaderTransferEncoding)
		h.SetConnectionClose()
		if _, err := c.Write(h.Header()); err == nil {
			_, _ = io.Copy(c, s) // until either side ends it
		}
	})
}

// via is this gateway in a Via field (RFC 9110, section 7.6.3).
const via = "1.1 ecommerce-gateway"

// prepare turns the client's request into the one to the upstream. It loses the fields
// that concern one connection, and those that name an identity: who calls is in the token
// alone.
func (u *Upstream) prepare(req *fasthttp.Request, c Call, until time.Time) {
	h := &req.Header
	target := req.URI().PathOriginal()
	if query := req.URI().QueryString(); len(query) > 0 {
		target = append(append(slices.Clone(target), '?'), query...)
	}
	cookies := allowedCookies(h, c.Cookies)
	var drop [8]string
	dropped := drop[:0]
	conditional := false
	for name, value := range h.All() {
		if endsHere(name) {
			dropped = append(dropped, string(name))
		}
		switch string(name) {
		case fasthttp.HeaderConnection:
			dropped = appendOptions(dropped, string(value))
		case fasthttp.HeaderIfMatch, fasthttp.HeaderIfNoneMatch:
			conditional = true
		}
	}
	for _, name := range dropped {
		h.Del(name)
	}
	if h.IsGet() || h.IsHead() {
		h.Del(fasthttp.HeaderContentLength) // The body is not forwarded.
	}
	h.SetCanonical(forwardedHost, h.Host())
	if cookies != "" {
		h.Set(fasthttp.HeaderCookie, cookies)
	}
	if conditional {
		compression.PlainTags(h)
	}
	req.SetRequestURIBytes(target)
	h.SetHost(u.host)
	h.SetProtocol("HTTP/1.1")
	h.SetNoDefaultContentType(true)
	h.Add(fasthttp.HeaderVia, via)
	var buf [64]byte
	h.SetCanonical(requestID, append(buf[:0], c.RequestID...))
	h.SetCanonical(traceParent, append(buf[:0], c.TraceParent...))
	h.SetCanonical(forwardedProto, append(buf[:0], scheme(c.Secure)...))
	if c.Address.IsValid() {
		h.SetCanonical(forwardedFor, c.Address.AppendTo(buf[:0]))
	}
	h.SetCanonical(requestDeadline, deadline.Append(buf[:0], until))
}

// Names as the HTTP library has them.
var (
	requestID, traceParent      = []byte(telemetry.RequestIDHeader), []byte(telemetry.TraceParentHeader)
	forwardedFor, forwardedHost = []byte(fasthttp.HeaderXForwardedFor), []byte(fasthttp.HeaderXForwardedHost)
	forwardedProto              = []byte(fasthttp.HeaderXForwardedProto)
	requestDeadline             = []byte(deadline.Header)
)

func scheme(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

// endsHere reports whether a field of a request is not forwarded.
func endsHere(name []byte) bool {
	switch string(name) {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Http2-Settings", "Expect": // RFC 9110, section 7.6.1
		return true
	case "Accept-Encoding": // The gateway compresses.
		return true
	case "Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override",
		"Cookie", deadline.Header:
		return true
	}
	for _, prefix := range [...]string{"X-Forwarded-", "X-User", "X-Auth", "X-Remote-"} {
		if len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// appendOptions appends the names in a Connection field, which go no further (RFC 9110,
// section 7.6.1). A client cannot remove the framing of its request that way.
func appendOptions(names []string, field string) []string {
	for name := range strings.SplitSeq(field, ",") {
		switch name = strings.TrimSpace(name); {
		case name == "", strings.EqualFold(name, fasthttp.HeaderHost), strings.EqualFold(name, fasthttp.HeaderContentLength):
		default:
			names = append(names, name)
		}
	}
	return names
}

// allowedCookies returns a Cookie field with those of the given names.
func allowedCookies(h *fasthttp.RequestHeader, names []string) string {
	var kept []string
	for _, name := range names {
		if value := h.Cookie(name); len(value) > 0 {
			kept = append(kept, name+"="+string(value))
		}
	}
	return strings.Join(kept, "; ")
}

// removeHopByHop removes the fields of a response that concern the connection to the
// upstream, and those that the gateway sets itself.
func removeHopByHop(h *fasthttp.ResponseHeader) {
	var drop [8]string
	dropped := drop[:0]
	for name, value := range h.All() {
		switch string(name) {
		case "Connection":
			dropped = append(appendOptions(dropped, string(value)), "Connection")
		case "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Upgrade", telemetry.RequestIDHeader, telemetry.TraceParentHeader:
			dropped = append(dropped, string(name))
		}
		if bytes.IndexByte(name, ' ') >= 0 { // fasthttp tolerates it (RFC 9112, section 5.1)
			dropped = append(dropped, string(name))
		}
	}
	for _, name := range dropped {
		h.Del(name)
	}
}
