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

	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Headers that tie the work for one request together.
const (
	RequestIDHeader   = "X-Request-Id"
	TraceParentHeader = "Traceparent"
)

// identify accepts or makes the request id and the trace, and returns both.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(RequestIDHeader)
		if !telemetry.ValidRequestID(id) {
			id = telemetry.NewRequestID()
		}
		trace := telemetry.ChildTraceParent(r.Header.Get(TraceParentHeader))
		h := w.Header()
		h[RequestIDHeader], h[TraceParentHeader] = []string{id}, []string{trace}
		next.ServeHTTP(w, r.WithContext(telemetry.Begin(r.Context(), id, trace)))
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
				s.survive(ww, r, reason)
			}
			s.record(r, ww, time.Since(start))
			if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(reason)
			}
		}()
		next.ServeHTTP(ww, r)
	})
}

// survive responds to a request whose handler panicked, if there is no response yet.
func (s *Server) survive(ww middleware.WrapResponseWriter, r *http.Request, reason any) {
	if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	s.opts.Log.ErrorContext(r.Context(), "panic", "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
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
	s.requests.End(telemetry.Request{Method: r.Method, Route: chi.RouteContext(ctx).RoutePattern(),
		Path: r.URL.Path, Status: status, Bytes: ww.BytesWritten(), Took: took, Client: r.RemoteAddr,
		RequestID: telemetry.RequestID(ctx), TraceParent: telemetry.TraceParent(ctx)})
}

var errUnreadableURL = problem.New(http.StatusBadRequest, "", "The URL is not valid UTF-8.")

// Hardening has the header fields that suit every response of an API. A handler that
// needs another value sets its own.
var Hardening = [...]struct{ Name, Value string }{
	{"X-Content-Type-Options", "nosniff"},
	{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
	{"Referrer-Policy", "no-referrer"},
	{"Cache-Control", "no-store"},
}

// harden sets Hardening, and refuses a URL that is no text.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, field := range Hardening {
			w.Header()[field.Name] = []string{field.Value}
		}
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
			return errUnreadableURL
		}
	}
	if !isText(path) || !isText(query) {
		return errUnreadableURL
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// limitBody refuses bodies over Options.MaxBody: at once when the length is told,
// otherwise when that much was read.
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
	problem.Write(w, r, problem.NotFound("There is nothing at this path."))
}

// methodNotAllowed names the methods that the path does take (RFC 9110, 15.5.6). A
// method that the router does not know comes here for any path.
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
