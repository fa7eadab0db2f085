package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/cpu"

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

// observer logs and counts each request, and survives its panic.
type observer struct {
	log       *slog.Logger
	requests  telemetry.RequestLog
	durations *durations

	_        cpu.CacheLinePad // Whoever counts takes its line from the processors that read the others.
	inFlight atomic.Int64
	_        cpu.CacheLinePad
}

func newObserver(log *slog.Logger, reg prometheus.Registerer) *observer {
	o := &observer{log: log, requests: telemetry.NewRequestLog(log), durations: newDurations()}
	reg.MustRegister(o.durations.vec, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "http_requests_in_flight", Help: "Requests being answered now.",
	}, func() float64 { return float64(o.inFlight.Load()) }))
	return o
}

func (o *observer) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		o.inFlight.Add(1)
		defer func() {
			o.inFlight.Add(-1)
			reason := recover()
			if reason != nil {
				o.survive(ww, r, reason)
			}
			o.record(r, ww, time.Since(start))
			if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(reason)
			}
		}()
		next.ServeHTTP(ww, r)
	})
}

// survive answers a request whose handler panicked, if nothing was answered yet.
func (o *observer) survive(ww middleware.WrapResponseWriter, r *http.Request, reason any) {
	if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	o.log.ErrorContext(r.Context(), "panic", "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
	if ww.Status() == 0 {
		problem.Write(ww, r, problem.From(errors.New("panic")))
	}
}

func (o *observer) record(r *http.Request, ww middleware.WrapResponseWriter, took time.Duration) {
	status := ww.Status()
	if status == 0 {
		status = http.StatusOK
	}
	ctx := r.Context()
	o.write(telemetry.Request{Method: method(r.Method), Route: chi.RouteContext(ctx).RoutePattern(),
		Path: r.URL.Path, Status: status, Bytes: ww.BytesWritten(), Took: took, Client: r.RemoteAddr,
		RequestID: telemetry.RequestID(ctx), TraceParent: telemetry.TraceParent(ctx)})
}

func (o *observer) write(r telemetry.Request) {
	level := slog.LevelInfo
	switch {
	case r.Route == "":
		r.Route = "unmatched"
	case probe(r.Route):
		level = slog.LevelDebug
	}
	r.Path = clip(r.Path)
	o.durations.of(r.Method, r.Route, r.Status).Observe(r.Took.Seconds())
	o.requests.Log(level, r)
}

// Began counts a request that is answered beside the server's handler, until Answered.
func (s *Server) Began() { s.observer.inFlight.Add(1) }

// Answered logs and counts a request that was answered beside the server's handler.
func (s *Server) Answered(r telemetry.Request) {
	s.observer.inFlight.Add(-1)
	s.observer.write(r)
}

func probe(route string) bool {
	return route == "/health" || route == "/livez" || route == "/readyz"
}

// method bounds the label's values: anyone may send any word as a method.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func clip(s string) string {
	const most = 256
	if len(s) > most {
		return s[:most]
	}
	return s
}

var errUnreadableURL = problem.New(http.StatusBadRequest, "", "The URL is not valid UTF-8.")

// Hardening is what is right for every answer of an API that does not say otherwise.
var Hardening = [...]struct{ Name, Value string }{
	{"X-Content-Type-Options", "nosniff"},
	{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
	{"Referrer-Policy", "no-referrer"},
	{"Cache-Control", "no-store"},
}

// hardened are the values that every answer shares; whoever wants another puts its own
// in their place.
var hardened = func() (values [len(Hardening)][]string) {
	for i, field := range Hardening {
		values[i] = []string{field.Value}
	}
	return values
}()

// Harden sets Hardening.
func Harden(h http.Header) {
	for i := range Hardening {
		h[Hardening[i].Name] = hardened[i]
	}
}

// harden sets the headers that are right for every answer of an API, unless a
// handler sets others, and refuses a URL whose text no handler could use.
func (s *Server) harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Harden(w.Header())
		if !readable(r.URL) {
			s.refuse(w, r, errUnreadableURL)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readable says whether path and query are UTF-8 without NUL once they are decoded.
func readable(u *url.URL) bool {
	if !text(u.Path) {
		return false
	}
	if strings.IndexByte(u.RawQuery, '%') < 0 {
		return text(u.RawQuery)
	}
	query, err := url.QueryUnescape(u.RawQuery)
	return err == nil && text(query)
}

func text(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// limitBody refuses bodies over Options.MaxBody: at once when the length is told,
// otherwise when that much was read.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.opts.MaxBody {
			w.Header().Set("Connection", "close")
			s.refuse(w, r, problem.From(&http.MaxBytesError{Limit: s.opts.MaxBody}))
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
	s.refuse(w, r, problem.New(http.StatusMethodNotAllowed, "", "This path does not take "+method(r.Method)+".").
		WithHeader("Allow", strings.Join(allowed, ", ")))
}
