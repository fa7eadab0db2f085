package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/compression"
	"ecommerce-stack.dev/services/gateway/internal/http1"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// clientWrite is how long a client may take to read an answer after its timeout, or
// one write of a stream.
const clientWrite = 30 * time.Second

// Call says how a request is passed on.
type Call struct {
	// Timeout until the answer begins and, unless Stream, until it is complete.
	Timeout time.Duration
	Stream  bool
	// Long is set for what is slow by contract: a stream, or a call that was asked to
	// wait. Such calls take no places of others, and a client that leaves one says
	// nothing about the upstream.
	Long bool
	// Client is the address to name in X-Forwarded-For.
	Client netip.Addr
	// Draining ends streams.
	Draining <-chan struct{}
	// Succeeded is called before a status below 300 is passed on, if it is set.
	Succeeded func()
}

// Forward passes r on and the answer back. It returns an error only if nothing was
// answered yet; the error is what to tell the client. When the upstream breaks off
// in the middle of an answer, Forward panics with http.ErrAbortHandler, so that the
// client sees it broken off, too.
func (u *Upstream) Forward(w http.ResponseWriter, r *http.Request, c Call) error {
	body, release, err := u.readBody(r)
	if err != nil {
		return err
	}
	defer release()
	if err := u.enter(c.Long); err != nil {
		return err
	}
	defer u.leave(c.Long)
	if len(body) > 0 {
		// The time that the body took is not taken from the answer's.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(c.Timeout + clientWrite))
	}
	if c.Stream {
		return u.stream(w, r, body, c)
	}
	ctx, cancel := http1.WithTimeout(r.Context(), c.Timeout, errTimeout)
	defer cancel()
	return u.pass(ctx, w, u.outgoing(ctx, r, body, c.Client), c, nil)
}

// stream passes an answer on whose end nobody foresees: it has to begin in time.
func (u *Upstream) stream(w http.ResponseWriter, r *http.Request, b body, c Call) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	timer := time.AfterFunc(c.Timeout, func() { cancel(errTimeout) })
	defer timer.Stop()
	return u.pass(ctx, w, u.outgoing(ctx, r, b, c.Client), c, func() {
		timer.Stop()
		go endWith(ctx, cancel, c.Draining)
	})
}

// pass makes a call and gives its answer; begun is called when that begins, unless it
// is nil.
func (u *Upstream) pass(ctx context.Context, w http.ResponseWriter, out *http.Request, c Call, begun func()) error {
	res, err := u.send(out, c.Long)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if begun != nil {
		begun()
	}
	if c.Succeeded != nil && res.StatusCode < http.StatusMultipleChoices {
		c.Succeeded()
	}
	u.give(ctx, w, out.Method, res, c.Stream)
	return nil
}

// give passes the answer to a request of a method on.
func (u *Upstream) give(ctx context.Context, w http.ResponseWriter, method string, res *http.Response, stream bool) {
	copyHeader(w.Header(), res.Header)
	w.WriteHeader(res.StatusCode)
	if method != http.MethodHead {
		u.copyBody(ctx, w, res.Body, stream)
	}
}

func endWith(ctx context.Context, cancel context.CancelCauseFunc, draining <-chan struct{}) {
	select {
	case <-draining:
		cancel(errDraining)
	case <-ctx.Done():
	}
}

// outgoing is the request to the upstream. Its headers are the client's, without
// those that concern one connection and those that name an identity: who calls is
// in the token alone.
func (u *Upstream) outgoing(ctx context.Context, r *http.Request, b body, client netip.Addr) *http.Request {
	h := make(http.Header, len(r.Header)+4)
	for name, values := range r.Header {
		if !endsHere(name) {
			h[name] = values
		}
	}
	dropNamed(h, r.Header["Connection"])
	compression.PlainTags(h)
	h[server.RequestIDHeader] = []string{telemetry.RequestID(ctx)}
	h[server.TraceParentHeader] = []string{telemetry.TraceParent(ctx)}
	h["X-Forwarded-Host"] = []string{r.Host}
	if client.IsValid() {
		h["X-Forwarded-For"] = []string{client.String()}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // or the transport would name itself
	}
	return (&http.Request{
		Method: r.Method, Host: u.base.Host, Header: h, ContentLength: int64(len(b)), Body: b.reader(), GetBody: b.again,
		URL: &url.URL{Scheme: u.base.Scheme, Host: u.base.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery},
	}).WithContext(ctx)
}

// endsHere says whether a header is not passed on.
func endsHere(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Expect": // RFC 9110, section 7.6.1
		return true
	case "Content-Length": // What is written says its own.
		return true
	case "Accept-Encoding": // Whoever answers behind us has no need to encode.
		return true
	case "Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "Cookie":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-User") ||
		strings.HasPrefix(name, "X-Auth") || strings.HasPrefix(name, "X-Remote-")
}

// dropNamed removes what the Connection header names.
func dropNamed(h http.Header, connection []string) {
	for _, line := range connection {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
}

// copyHeader lets the upstream's headers take the place of ours.
func copyHeader(to, from http.Header) {
	for name, values := range from {
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
			server.RequestIDHeader, server.TraceParentHeader:
			continue
		case "Vary":
			to[name] = append(slices.Clip(to[name]), values...)
			continue
		}
		to[name] = values
	}
	dropNamed(to, from["Connection"])
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// copyBody writes the answer. What arrives of a stream is sent at once.
func (u *Upstream) copyBody(ctx context.Context, w http.ResponseWriter, from io.Reader, stream bool) {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	control := http.NewResponseController(w)
	if stream {
		_ = control.Flush() // the headers
	}
	for {
		n, readErr := from.Read(*buffer)
		if n > 0 {
			if stream {
				_ = control.SetWriteDeadline(time.Now().Add(clientWrite))
			}
			if _, err := w.Write((*buffer)[:n]); err != nil {
				return // the client is gone
			}
			if stream && control.Flush() != nil {
				return
			}
		}
		switch {
		case readErr == nil:
		case errors.Is(readErr, io.EOF), errors.Is(context.Cause(ctx), errDraining):
			return
		default:
			u.metrics.failures.WithLabelValues(u.name, "broken off").Inc()
			panic(http.ErrAbortHandler)
		}
	}
}
