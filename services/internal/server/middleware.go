package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
)

// identify sets the request id and the trace of a request and its response, and begins its
// span unless it is a probe.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parent, ctx := r.Header.Get(telemetry.TraceParentHeader), r.Context()
		id, trace := telemetry.Identify(r.Header.Get(telemetry.RequestIDHeader), parent)
		if t := tracing.Active(); t != nil && !health.IsProbe(r.URL.Path) {
			var span *tracing.Span
			span, trace = t.Server(parent, r.Method, time.Now())
			ctx = span.Context(ctx)
		}
		h := w.Header()
		h[telemetry.RequestIDHeader], h[telemetry.TraceParentHeader] = []string{id}, []string{trace}
		next.ServeHTTP(w, r.WithContext(telemetry.Begin(ctx, id, trace)))
	})
}

// observe logs and counts each request, and recovers from a panic of its handler.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		s.requests.Begin()
		defer func() {
			reason := recover()
			if reason != nil {
				s.recoverPanic(ww, r, reason)
			}
			s.record(r, ww, time.Since(start))
			if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(reason)
			}
		}()
		next.ServeHTTP(ww, r)
	})
}

// recoverPanic responds to a request whose handler panicked, if there is no response yet.
func (s *Server) recoverPanic(ww middleware.WrapResponseWriter, r *http.Request, reason any) {
	if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	s.opts.Log.ErrorContext(r.Context(), "panic", "panic", fmt.Sprint(reason), "stackTrace", string(debug.Stack()))
	if ww.Status() == 0 {
		problem.Write(ww, r, problem.From(errors.New("panic")))
	}
}

func (s *Server) record(r *http.Request, ww middleware.WrapResponseWriter, took time.Duration) {
	status := ww.Status()
	if status == 0 {
		status = http.StatusOK
	}
	ctx := r.Context()
	q := telemetry.Request{Method: r.Method, Route: chi.RouteContext(ctx).RoutePattern(),
		Path: r.URL.Path, Status: status, Bytes: ww.BytesWritten(), Took: took, Client: r.RemoteAddr,
		UserID: telemetry.UserID(ctx), Long: telemetry.IsLong(ctx),
		RequestID: telemetry.RequestID(ctx), TraceParent: telemetry.TraceParent(ctx)}
	tracing.Of(ctx).EndServer(q)
	s.requests.End(q)
}

// Hardening has the security header fields of every response. A handler may set another
// value.
var Hardening = [...]struct{ Name, Value string }{
	{"X-Content-Type-Options", "nosniff"},
	{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
	{"Referrer-Policy", "no-referrer"},
	{"Cache-Control", "no-store"},
}

// listFields are the fields of a request that are lists and may have several lines.
var listFields = [...]string{"If-Match", "If-None-Match", "Prefer", "Content-Encoding"}

// joinLists makes one line of those of each of listFields (RFC 9110, section 5.3), because of
// several lines a handler gets the first one.
func joinLists(h http.Header) {
	for _, name := range listFields {
		if lines := h[name]; len(lines) > 1 {
			h[name] = []string{strings.Join(lines, ", ")}
		}
	}
}

// harden sets Hardening, joins list fields, and refuses a URL that is not text.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, field := range Hardening {
			w.Header()[field.Name] = []string{field.Value}
		}
		joinLists(r.Header)
		if err := CheckURL(r.URL.Path, r.URL.RawQuery); err != nil {
			problem.Write(w, r, problem.From(err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// CheckURL returns a 400 problem unless a decoded path and an encoded query are UTF-8
// without NUL once they are decoded.
func CheckURL(path, rawQuery string) error {
	query := rawQuery
	if strings.IndexByte(rawQuery, '%') >= 0 {
		var err error
		if query, err = url.QueryUnescape(rawQuery); err != nil {
			return problem.MalformedURL()
		}
	}
	switch {
	case !utf8.ValidString(path) || !utf8.ValidString(query):
		return problem.InvalidUTF8()
	case strings.IndexByte(path, 0) >= 0 || strings.IndexByte(query, 0) >= 0:
		return problem.MalformedURL()
	}
	return nil
}

// limitBody refuses bodies over Options.MaxBody: at once if Content-Length exceeds it, else
// when that much has been read.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.opts.MaxBody {
			w.Header().Set("Connection", "close")
			problem.Write(w, r, problem.From(&http.MaxBytesError{Limit: s.opts.MaxBody}))
			return
		}
		if r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, s.opts.MaxBody)
		}
		next.ServeHTTP(w, r)
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, problem.New(http.StatusNotFound, "", "Path not found."))
}

// methodNotAllowed names the methods of the path (RFC 9110, section 15.5.6). chi calls it
// for any path if it does not know the method.
func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		if s.router.Match(chi.NewRouteContext(), m, r.URL.Path) {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		s.router.NotFoundHandler().ServeHTTP(w, r)
		return
	}
	problem.Write(w, r, problem.New(http.StatusMethodNotAllowed, "", "Method not allowed. Allowed: "+strings.Join(allowed, ", ")+".").
		WithHeader("Allow", strings.Join(allowed, ", ")))
}
