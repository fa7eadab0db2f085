package gateway_test

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/hack/testenv/otlp"
	"ecommerce-stack.dev/services/internal/tracing/tracingtest"
)

const clientTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"

// named returns the spans with a name.
func named(spans []otlp.Span, name string) []otlp.Span {
	return slices.DeleteFunc(slices.Clone(spans), func(s otlp.Span) bool { return s.Name != name })
}

// TestServiceContinuesTraceOfAttempt also has a request that is refused, and a probe.
func TestServiceContinuesTraceOfAttempt(t *testing.T) {
	receiver := otlp.Start(t)
	process := tracingtest.Start(t, receiver.URL, true)
	g := start(t, setup{})
	g.probes()
	a := g.do("POST", "/sales", `{}`, "Authorization", g.client(7), "Traceparent", clientTrace)
	sent := g.up.last().Header.Get("Traceparent")
	g.do("POST", "/sales?email=bob@example.com", `{}`, "Traceparent", clientTrace)
	for _, path := range []string{"/health", "/livez", "/readyz"} {
		if got := g.do("GET", path, "", "Traceparent", clientTrace).header.Get("Traceparent"); !strings.HasSuffix(got, "-00") {
			t.Errorf("%s: traceparent %s", path, got)
		}
	}
	process.End()
	spans := receiver.Spans()
	requests, attempts := named(spans, "POST /sales"), named(spans, "POST")
	if len(spans) != 3 || len(requests) != 2 || len(attempts) != 1 {
		t.Fatalf("spans %+v", spans)
	}
	first, second, attempt := requests[0], requests[1], attempts[0]
	if first.ParentID != clientTrace[36:52] || attempt.ParentID != first.SpanID {
		t.Errorf("spans %+v", spans)
	}
	if got := a.header.Get("Traceparent"); got != clientTrace[:36]+first.SpanID+"-01" {
		t.Errorf("the response has the traceparent %s of the span %s", got, first.SpanID)
	}
	if sent != clientTrace[:36]+attempt.SpanID+"-01" {
		t.Errorf("the service receives the traceparent %s in the span %s", sent, attempt.SpanID)
	}
	if second.Attributes["http.response.status_code"] != "401" || second.Attributes["url.path"] != "/sales" || second.Failed {
		t.Errorf("the refused request has the span %+v", second)
	}
}

// TestRetriesHaveSpans has a service that closes its first connections.
func TestRetriesHaveSpans(t *testing.T) {
	receiver := otlp.Start(t)
	process := tracingtest.Start(t, receiver.URL, true)
	g := start(t, setup{})
	var calls atomic.Int32
	g.up.respondWith(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) <= 2 {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = c.Close()
			}
			return
		}
		text("{}")(w, nil)
	})
	if got := g.do("GET", "/sales/7", "", "Authorization", g.client(7)).status; got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(g.up.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	process.End()
	attempts := named(receiver.Spans(), "GET")
	if len(attempts) != 3 {
		t.Fatalf("attempts %+v", attempts)
	}
	sent := g.up.take()
	for i, s := range attempts {
		resends := []string{"", "1", "2"}[i]
		if s.Attributes["http.request.resend_count"] != resends || s.Failed != (i < 2) || s.Attributes["server.address"] != host || s.Attributes["server.port"] != port {
			t.Errorf("attempt %+v", s)
		}
		if got := sent[i].Header.Get("Traceparent"); got[36:52] != s.SpanID {
			t.Errorf("attempt %d has the traceparent %s and the span %s", i, got, s.SpanID)
		}
	}
}

// TestCachedReadHasNoAttempt reads twice.
func TestCachedReadHasNoAttempt(t *testing.T) {
	receiver := otlp.Start(t)
	process := tracingtest.Start(t, receiver.URL, true)
	g := start(t, setup{})
	g.up.respondWith(text("{}"))
	for range 2 {
		g.do("GET", "/products/7", "")
	}
	sent := g.up.take()
	process.End()
	spans := receiver.Spans()
	attempts := named(spans, "GET")
	if len(spans) != 3 || len(attempts) != 1 || len(sent) != 1 || sent[0].Header.Get("Traceparent")[36:52] != attempts[0].SpanID {
		t.Errorf("spans %+v", spans)
	}
	if requests := named(spans, "GET /products/{productId}"); len(requests) != 2 || !slices.ContainsFunc(requests, func(s otlp.Span) bool { return s.SpanID == attempts[0].ParentID }) {
		t.Errorf("spans %+v", spans)
	}
}

// TestSpanOfStreamEndsWithStream reads one event.
func TestSpanOfStreamEndsWithStream(t *testing.T) {
	receiver := otlp.Start(t)
	tracingtest.Start(t, receiver.URL, true, "OTEL_BSP_SCHEDULE_DELAY=10")
	g := start(t, setup{})
	disconnected := make(chan struct{}, 1)
	g.up.respondWith(comments(disconnected))
	lines, leave := g.stream()
	if !lines.Scan() {
		t.Fatal("nothing arrived")
	}
	testenv.Eventually(t, "the attempt has a span", func() bool { return len(receiver.Spans()) == 1 })
	leave()
	<-disconnected
	testenv.Eventually(t, "the stream has a span", func() bool {
		return len(named(receiver.Spans(), "GET /sales/{id}/stream")) == 1
	})
}
