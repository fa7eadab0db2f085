package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/compression"
	"ecommerce-stack.dev/services/internal/connection"
	"ecommerce-stack.dev/services/internal/deadline"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
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
	// LongRunning is set for a stream or a request that prefers to wait. It counts against a
	// separate limit and ends when the client disconnects.
	LongRunning bool
	// Conn is the client's connection, Address the client's address, Secure whether the
	// client uses HTTPS.
	Conn    *connection.Conn
	Address netip.Addr
	Secure  bool

	RequestID, TraceParent string
	// Span is that of the client's request; nil if it is not recorded.
	Span *tracing.Span
	// Cookies are the names of those that the service receives.
	Cookies []string
}

// Forward sends the request of ctx to the upstream, and sets the response. It
// returns how many bytes of the shared buffers the response has until the caller releases
// them, or the error to respond with. c.Ended is called at once, or at the end of a stream.
func (u *Upstream) Forward(ctx *fasthttp.RequestCtx, c Call) (bufferedBytes int64, err error) {
	inFlight, err := u.acquire(c.LongRunning)
	if err != nil {
		c.end(nil)
		return 0, err
	}
	x := call{Call: c, deadline: c.Began.Add(c.Timeout), request: &ctx.Request, host: u.host}
	x.message = &x
	if c.LongRunning {
		x.client = c.Conn
	}
	if err := u.send(&ctx.Request, &ctx.Response, &x); err != nil {
		x.end(inFlight)
		ctx.Response.Reset()
		return 0, err
	}
	removeHopByHop(&ctx.Response.Header)
	if x.source == nil {
		x.end(inFlight)
		return x.bufferedBytes, nil
	}
	s := newStream(x.source, ctx.Conn(), x.Draining, func() { x.end(inFlight) })
	if !ctx.Request.Header.IsHTTP11() {
		streamUntilClose(ctx, s)
		return 0, nil
	}
	ctx.Response.ImmediateHeaderFlush = true
	ctx.Response.SetBodyStream(s, -1)
	return 0, nil
}

// end releases the limit that counts the call, unless it is nil.
func (c *Call) end(inFlight *inFlightLimit) {
	if inFlight != nil {
		inFlight.release()
	}
	if c.Ended != nil {
		c.Ended()
	}
}

// streamUntilClose makes a stream the response to a client of HTTP/1.0, which has no chunks:
// the body ends with the connection (RFC 9112, section 6.3). The server frames every
// stream, so the connection is taken from it.
func streamUntilClose(ctx *fasthttp.RequestCtx, s *stream) {
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

// Write implements connection.RequestWriter for a client's request. It loses the fields that concern
// one connection, and those that name an identity: who calls is in the token alone. The
// request itself is not changed.
func (c *call) Write(w *bufio.Writer) error {
	h, uri, body := &c.request.Header, c.request.URI(), c.request.Body()
	b := append(append(w.AvailableBuffer(), h.Method()...), ' ')
	b = append(b, uri.PathOriginal()...)
	if query := uri.QueryString(); len(query) > 0 {
		b = append(append(b, '?'), query...)
	}
	b = appendField(append(b, " HTTP/1.1\r\n"...), fasthttp.HeaderHost, c.host)
	var named []string
	for _, field := range h.PeekAll(fasthttp.HeaderConnection) {
		named = appendOptions(named, string(field))
	}
	for name, value := range h.All() {
		switch {
		case isNotForwarded(name), slices.ContainsFunc(named, func(n string) bool { return strings.EqualFold(n, string(name)) }):
		case string(name) == fasthttp.HeaderIfMatch, string(name) == fasthttp.HeaderIfNoneMatch:
			b = appendField(b, name, compression.Plain(string(value)))
		default:
			b = appendField(b, name, value)
		}
	}
	if cookies := allowedCookies(h, c.Cookies); cookies != "" {
		b = appendField(b, fasthttp.HeaderCookie, cookies)
	}
	b = appendField(b, fasthttp.HeaderVia, via)
	b = appendField(b, telemetry.RequestIDHeader, c.RequestID)
	b = appendField(b, telemetry.TraceParentHeader, c.TraceParent)
	b = appendField(b, fasthttp.HeaderXForwardedHost, h.Host())
	b = appendField(b, fasthttp.HeaderXForwardedProto, scheme(c.Secure))
	var buf [64]byte
	if c.Address.IsValid() {
		b = appendField(b, fasthttp.HeaderXForwardedFor, c.Address.AppendTo(buf[:0]))
	}
	b = appendField(b, deadline.Header, deadline.Append(buf[:0], c.deadline))
	if !h.IsGet() && !h.IsHead() { // They have no body.
		b = appendField(b, fasthttp.HeaderContentLength, strconv.AppendInt(buf[:0], int64(len(body)), 10))
	}
	if _, err := w.Write(append(b, "\r\n"...)); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// appendField appends a header field. Values from the client have no line breaks.
func appendField[N, V string | []byte](b []byte, name N, value V) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

func scheme(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

// isNotForwarded reports whether a field of a request is not forwarded as it is.
func isNotForwarded(name []byte) bool {
	switch string(name) {
	case "Host", "Content-Length", telemetry.RequestIDHeader, telemetry.TraceParentHeader: // The gateway sets them.
		return true
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
