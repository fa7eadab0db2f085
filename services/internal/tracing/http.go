package tracing

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"ecommerce-stack.dev/services/internal/telemetry"
)

// Options of spans, which would else be allocated for each.
var (
	serverKind = trace.WithSpanKind(trace.SpanKindServer)
	clientKind = trace.WithSpanKind(trace.SpanKindClient)
)

// Span is a span that is recorded. Nil is one that is not; its methods do nothing.
type Span struct{ span trace.Span }

// Server begins the span of a request with the traceparent that it came with, which may be
// missing or not valid. It returns the traceparent to continue with; the span is nil if the
// trace is not sampled.
func (t *Tracer) Server(traceParent, method string, began time.Time) (*Span, string) {
	_, span := t.tracer.Start(withParent(context.Background(), traceParent), knownMethod(method),
		serverKind, trace.WithTimestamp(began))
	return recorded(span), traceParentOf(span)
}

func recorded(span trace.Span) *Span {
	if !span.IsRecording() {
		return nil
	}
	return &Span{span}
}

// Context returns a context in which spans begin as children of s.
func (s *Span) Context(ctx context.Context) context.Context {
	if s == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.span)
}

// Of returns the span of a context, or nil.
func Of(ctx context.Context) *Span {
	if Active() == nil {
		return nil
	}
	return recorded(trace.SpanFromContext(ctx))
}

// TraceParent returns the traceparent of s, or "".
func (s *Span) TraceParent() string {
	if s == nil {
		return ""
	}
	return traceParentOf(s.span)
}

// EndServer ends the span of a request. The path of a request without a route is left out,
// because it may be any text.
func (s *Span) EndServer(q telemetry.Request) {
	if s == nil {
		return
	}
	method := knownMethod(q.Method)
	attributes := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(method), semconv.HTTPResponseStatusCode(q.Status)}
	if q.Route != "" {
		s.span.SetName(method + " " + q.Route)
		attributes = append(attributes, semconv.HTTPRoute(q.Route), semconv.URLPath(q.Path))
	}
	if q.Status >= http.StatusInternalServerError {
		attributes = append(attributes, semconv.ErrorTypeKey.String(strconv.Itoa(q.Status)))
		s.span.SetStatus(codes.Error, "")
	}
	s.span.SetAttributes(attributes...)
	s.span.End()
}

// Client begins the span of one attempt of a call to host, with an optional port. resends
// is the number of attempts before.
func (s *Span) Client(method []byte, host string, resends int) *Span {
	if s == nil {
		return nil
	}
	name := knownMethod(string(method))
	attributes := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(name)}
	if address, port, err := net.SplitHostPort(host); err == nil {
		number, _ := strconv.Atoi(port) // 0 for a port that is no number, which could not be dialed
		attributes = append(attributes, semconv.ServerAddress(address), semconv.ServerPort(number))
	} else {
		attributes = append(attributes, semconv.ServerAddress(host))
	}
	if resends > 0 {
		attributes = append(attributes, semconv.HTTPRequestResendCount(resends))
	}
	_, span := s.span.TracerProvider().Tracer(scope).Start(s.Context(context.Background()), name,
		clientKind, trace.WithAttributes(attributes...))
	return recorded(span)
}

// EndClient ends the span of an attempt with the status of its response, or its error.
func (s *Span) EndClient(status int, err error) {
	switch {
	case s == nil:
		return
	case err != nil:
		fail(s.span, err)
	default:
		s.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		if status >= http.StatusBadRequest {
			s.span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
			s.span.SetStatus(codes.Error, "")
		}
	}
	s.span.End()
}

// fail sets the status of a span to an error. The text of the error may contain what a
// client has sent, so that only its kind is recorded.
func fail(span trace.Span, err error) {
	kind := semconv.ErrorTypeOther
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		kind = semconv.ErrorTypeKey.String("canceled")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		kind = semconv.ErrorTypeKey.String("timeout")
	}
	span.SetAttributes(kind)
	span.SetStatus(codes.Error, "")
}

// knownMethod bounds the names of spans: a client may send any word as a method.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "_OTHER"
}
