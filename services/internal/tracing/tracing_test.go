package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/hack/testenv/otlp"
	"ecommerce-stack.dev/services/internal/config"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
	"ecommerce-stack.dev/services/internal/tracing/tracingtest"
)

// fixture is a process with its receiver.
type fixture struct {
	*tracingtest.Process
	Receiver *otlp.Receiver
}

func start(t testing.TB, edge bool, variables ...string) fixture {
	t.Helper()
	r := otlp.Start(t)
	return fixture{tracingtest.Start(t, r.URL, edge, variables...), r}
}

// Spans ends tracing and returns the spans in the order of their ends.
func (f fixture) Spans() []otlp.Span {
	f.End()
	return f.Receiver.Spans()
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	sampled = "00-" + traceID + "-00f067aa0ba902b7-01"
	not     = "00-" + traceID + "-00f067aa0ba902b7-00"
)

func TestInvalidSettingsAreNamedWithTheirLimits(t *testing.T) {
	t.Parallel()
	for variable, c := range map[string]struct {
		invalid []string
		want    string
	}{
		"OTEL_EXPORTER_OTLP_ENDPOINT": {[]string{"collector:4318", "collector", "ftp://c", "http://", "http://:4318", "http://u:hidden@c:4318", "http://c?hidden=1",
			"http://c:port", "grpc://c:4317", " "}, "is not a URL of the form http://host:port"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": {[]string{"collector:4318/v1/traces"}, "is not a URL of the form http://host:port"},
		"OTEL_EXPORTER_OTLP_HEADERS":         {[]string{"hidden", "=hidden", "a b=hidden", "a=%zz", "a=1,hidden", "ä=hidden"}, "is not a comma-separated list of name=value"},
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS":  {[]string{"hidden"}, "is not a comma-separated list of name=value"},
		"OTEL_EXPORTER_OTLP_PROTOCOL":        {[]string{"grpc"}, "is not http/protobuf or http/json"},
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": {[]string{"grpc"}, "is not http/protobuf or http/json"},
		"OTEL_TRACES_EXPORTER":               {[]string{"zipkin", "OTLP"}, "is not otlp or none"},
		"OTEL_SDK_DISABLED":                  {[]string{"perhaps"}, "is not true or false"},
		"OTEL_TRACES_SAMPLER":                {[]string{"jaeger_remote", "0.5"}, "is not one of parentbased_always_on, "},
		"OTEL_TRACES_SAMPLER_ARG":            {[]string{"-0.1", "1.1", "NaN", "Inf", "half", "50%", "1,0"}, "is not a number from 0 to 1"},
	} {
		for _, value := range c.invalid {
			_, err := config.LoadFrom[tracing.Config](map[string]string{variable: value})
			if err == nil || !strings.Contains(err.Error(), variable+" "+c.want) {
				t.Errorf("%s=%s: %v", variable, value, err)
			} else if strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error contains the value: %v", err)
			}
		}
	}
}

func TestTracingNeedsAnEndpoint(t *testing.T) {
	t.Parallel()
	const endpoint, traces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	for _, c := range []struct {
		environment map[string]string
		want        bool
	}{
		{nil, false},
		{map[string]string{endpoint: ""}, false},
		{map[string]string{"OTEL_TRACES_SAMPLER": "always_on", "OTEL_SERVICE_NAME": "shop"}, false},
		{map[string]string{endpoint: "http://collector:4318"}, true},
		{map[string]string{traces: "https://collector/v1/traces"}, true},
		{map[string]string{endpoint: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, false},
		{map[string]string{endpoint: "http://collector:4318", "OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "otlp"}, true},
		{map[string]string{endpoint: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, false},
	} {
		got, err := config.LoadFrom[tracing.Config](c.environment)
		if err != nil || got.Enabled() != c.want {
			t.Errorf("%v: enabled %t, error %v", c.environment, got.Enabled(), err)
		}
	}
}

func TestMalformedResourceAttributesAreRefused(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no value")
	c := tracing.Config{Endpoint: "http://127.0.0.1:1"}
	_, err := tracing.Start(tracing.Options{Config: c, Service: "test", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	if !errors.Is(err, tracing.ErrInvalid) || !strings.Contains(err.Error(), "OTEL_RESOURCE_ATTRIBUTES") {
		t.Errorf("error %v", err)
	}
	if tracing.Active() != nil {
		t.Error("the process traces")
	}
}

// TestRequestAndAttemptHaveSpans also checks names and attributes.
func TestRequestAndAttemptHaveSpans(t *testing.T) {
	f := start(t, false, "OTEL_RESOURCE_ATTRIBUTES=k8s.pod.name=sales-1,service.namespace=shop.demo")
	span, traceParent := tracing.Active().Server(sampled, "GET", time.Now().Add(-time.Second))
	attempt := span.Client([]byte("GET"), "stock:5003", 1)
	attempt.EndClient(http.StatusServiceUnavailable, nil)
	failed := span.Client([]byte("BREW"), "stock", 0)
	failed.EndClient(0, fmt.Errorf("call bob@example.com: %w", context.DeadlineExceeded))
	span.EndServer(telemetry.Request{Method: "GET", Route: "/sales/{id}", Path: "/sales/7", Status: 500})

	spans := f.Spans()
	if len(spans) != 3 {
		t.Fatalf("spans %+v", spans)
	}
	server := spans[2]
	if server.TraceID != traceID || server.ParentID != "00f067aa0ba902b7" || traceParent != "00-"+traceID+"-"+server.SpanID+"-01" {
		t.Errorf("the span of the request is %+v, its traceparent %s", server, traceParent)
	}
	if server.Service != "test" || server.Resource["k8s.pod.name"] != "sales-1" || server.Resource["service.namespace"] != "shop.demo" || server.Resource["service.version"] == "" {
		t.Errorf("resource %v", server.Resource)
	}
	if took := server.Ended.Sub(server.Began); took < time.Second {
		t.Errorf("the span of the request takes %s", took)
	}
	for i, want := range []otlp.Span{
		{Name: "GET", Kind: otlp.Client, Failed: true, Attributes: map[string]string{"http.request.method": "GET", "server.address": "stock", "server.port": "5003",
			"http.request.resend_count": "1", "http.response.status_code": "503", "error.type": "503"}},
		{Name: "_OTHER", Kind: otlp.Client, Failed: true, Attributes: map[string]string{"http.request.method": "_OTHER", "server.address": "stock", "error.type": "timeout"}},
		{Name: "GET /sales/{id}", Kind: otlp.Server, Failed: true, Attributes: map[string]string{"http.request.method": "GET", "http.route": "/sales/{id}",
			"url.path": "/sales/7", "http.response.status_code": "500", "error.type": "500"}},
	} {
		got := spans[i]
		if i < 2 && (got.ParentID != server.SpanID || got.TraceID != traceID) {
			t.Errorf("an attempt is no child of its request: %+v", got)
		}
		if got.Name != want.Name || got.Kind != want.Kind || got.Failed != want.Failed || fmt.Sprint(got.Attributes) != fmt.Sprint(want.Attributes) || got.Events != 0 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestPathWithoutRouteIsNotRecorded(t *testing.T) {
	f := start(t, false)
	span, _ := tracing.Active().Server("", "GET", time.Now())
	span.EndServer(telemetry.Request{Method: "GET", Path: "/bob@example.com", Status: 404})
	if got := f.Spans()[0]; got.Name != "GET" || strings.Contains(fmt.Sprint(got.Attributes), "bob") || got.Failed || got.ParentID != "" {
		t.Errorf("span %+v", got)
	}
}

// TestParentDecidesBehindTheEdge has parents with and without the flag.
func TestParentDecidesBehindTheEdge(t *testing.T) {
	f := start(t, false, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0")
	if span, traceParent := tracing.Active().Server(sampled, "GET", time.Now()); span == nil || !strings.HasSuffix(traceParent, "-01") {
		t.Errorf("a sampled parent: %v, %s", span, traceParent)
	}
	for _, parent := range []string{not, "", "malformed", sampled[:54] + "g"} {
		span, traceParent := tracing.Active().Server(parent, "GET", time.Now())
		if span != nil || !strings.HasSuffix(traceParent, "-00") || !telemetry.ValidTraceParent(traceParent) {
			t.Errorf("parent %q: %v, %s", parent, span, traceParent)
		}
		if parent == not && traceParent[3:35] != traceID {
			t.Errorf("the trace id changes to %s", traceParent)
		}
	}
	if n := len(f.Spans()); n != 0 {
		t.Errorf("%d spans", n) // The sampled one has not ended.
	}
}

// TestClientDoesNotDecideAtTheEdge has clients that want all requests sampled, or none.
func TestClientDoesNotDecideAtTheEdge(t *testing.T) {
	for _, c := range []struct {
		share, parent string
		from, to      int
	}{
		{"0", sampled, 0, 0}, {"1", not, 1000, 1000},
		// With the same trace id, too, a client does not know what is sampled. The limits are
		// ten standard deviations from the mean.
		{"0.5", sampled, 342, 658}, {"0.5", not, 342, 658}, {"0.5", "", 342, 658},
	} {
		t.Run(c.share+" "+c.parent, func(t *testing.T) {
			start(t, true, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG="+c.share)
			n := 0
			for range 1000 {
				if span, _ := tracing.Active().Server(c.parent, "GET", time.Now()); span != nil {
					n++
				}
			}
			if n < c.from || n > c.to {
				t.Errorf("%d of 1000 requests are sampled, want %d to %d", n, c.from, c.to)
			}
		})
	}
}

func TestSamplersFollowTheirNames(t *testing.T) {
	for _, c := range []struct {
		sampler                  string
		withParent, root, atEdge bool // whether a trace is sampled, with a parent that is not
	}{
		{"", false, true, true},
		{"parentbased_always_on", false, true, true},
		{"parentbased_always_off", false, false, false},
		{"always_on", true, true, true},
		{"always_off", false, false, false},
		{"traceidratio", true, true, true}, // the default ratio is 1
		{"parentbased_traceidratio", false, true, true},
	} {
		t.Run(c.sampler, func(t *testing.T) {
			start(t, false, "OTEL_TRACES_SAMPLER="+c.sampler)
			span, _ := tracing.Active().Server(not, "GET", time.Now())
			root, _ := tracing.Active().Server("", "GET", time.Now())
			start(t, true, "OTEL_TRACES_SAMPLER="+c.sampler)
			edge, _ := tracing.Active().Server(not, "GET", time.Now())
			if (span != nil) != c.withParent || (root != nil) != c.root || (edge != nil) != c.atEdge {
				t.Errorf("sampled: with a parent %t, without %t, at the edge %t", span != nil, root != nil, edge != nil)
			}
		})
	}
}

func item(name, traceParent string) tracing.Item {
	return tracing.Item{Operation: tracing.Operation{Name: name, Kind: trace.SpanKindConsumer}, TraceParent: traceParent}
}

// TestBatchIsLinkedToItsSampledItems has an item that is not sampled.
func TestBatchIsLinkedToItsSampledItems(t *testing.T) {
	f := start(t, false)
	other := strings.Replace(sampled, "4bf9", "5bf9", 1)
	items := []tracing.Item{item("a", sampled), item("b", other), item("c", not)}
	ctx, batch := tracing.Active().StartBatch(t.Context(), tracing.Operation{Name: "batch"}, items)
	tracing.Of(ctx).Client([]byte("GET"), "stock", 0).EndClient(200, nil)
	continued := []string{batch.TraceParent(0), batch.TraceParent(1), batch.TraceParent(2)}
	batch.End(errors.New("duplicate entry bob@example.com"), func(i int) bool { return i == 1 })

	spans := map[string]otlp.Span{}
	for _, s := range f.Spans() {
		spans[s.Name] = s
	}
	a, b, whole := spans["a"], spans["b"], spans["batch"]
	if len(spans) != 4 || a.TraceID != traceID || b.TraceID == traceID || whole.TraceID == traceID || whole.ParentID != "" || spans["GET"].ParentID != whole.SpanID {
		t.Errorf("spans %+v", spans)
	}
	if want := []otlp.Link{{TraceID: a.TraceID, SpanID: a.SpanID}, {TraceID: b.TraceID, SpanID: b.SpanID}}; !slices.Equal(whole.Links, want) {
		t.Errorf("the batch has the links %v, want %v", whole.Links, want)
	}
	for i, s := range []otlp.Span{a, b} {
		if want := []otlp.Link{{TraceID: whole.TraceID, SpanID: whole.SpanID}}; !slices.Equal(s.Links, want) {
			t.Errorf("%s has the links %v, want %v", s.Name, s.Links, want)
		}
		if continued[i] != "00-"+s.TraceID+"-"+s.SpanID+"-01" {
			t.Errorf("%s continues as %s", s.Name, continued[i])
		}
	}
	if !strings.HasPrefix(continued[2], "00-"+traceID) || !strings.HasSuffix(continued[2], "-00") {
		t.Errorf("an item that is not sampled continues as %s", continued[2])
	}
	if a.Failed || !b.Failed || !whole.Failed || strings.Contains(fmt.Sprint(spans), "bob") {
		t.Errorf("failed: %t, %t, %t; spans %+v", a.Failed, b.Failed, whole.Failed, spans)
	}
}

func TestSingleItemIsTheBatch(t *testing.T) {
	f := start(t, false)
	ctx, batch := tracing.Active().StartBatch(t.Context(), tracing.Operation{Name: "batch"}, []tracing.Item{item("a", sampled)})
	tracing.Of(ctx).Client([]byte("GET"), "stock", 0).EndClient(200, nil)
	batch.End(nil, nil)
	spans := f.Spans()
	if len(spans) != 2 || spans[1].Name != "a" || spans[0].ParentID != spans[1].SpanID || spans[0].TraceID != traceID || len(spans[1].Links) != 0 {
		t.Errorf("spans %+v", spans)
	}
}

// TestBatchWithoutSampledItemIsNotRecorded would sample the batch if it began a trace.
func TestBatchWithoutSampledItemIsNotRecorded(t *testing.T) {
	f := start(t, false)
	ctx, batch := tracing.Active().StartBatch(t.Context(), tracing.Operation{Name: "batch"}, []tracing.Item{item("a", not), item("b", not)})
	if tracing.Of(ctx) != nil {
		t.Error("the common work is recorded")
	}
	batch.End(errors.New("failed"), nil)
	if spans := f.Spans(); len(spans) != 0 {
		t.Errorf("spans %+v", spans)
	}
}

// TestBatchIsSampledWithItsItems has a ratio that samples no trace that begins here.
func TestBatchIsSampledWithItsItems(t *testing.T) {
	f := start(t, false, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0")
	_, batch := tracing.Active().StartBatch(t.Context(), tracing.Operation{Name: "batch"}, []tracing.Item{item("a", sampled), item("b", not)})
	batch.End(nil, nil)
	if spans := f.Spans(); len(spans) != 2 {
		t.Errorf("spans %+v", spans)
	}
}

// maxQueued is the limit of spans that wait.
const maxQueued = 4096

// TestHangingReceiverTakesBoundedMemory ends more spans than wait, and stops.
func TestHangingReceiverTakesBoundedMemory(t *testing.T) {
	f := start(t, false, "OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_EXPORTER_OTLP_TIMEOUT=60000", "OTEL_BSP_EXPORT_TIMEOUT=60000")
	f.Receiver.SetMode(otlp.Hang)
	end := func() {
		span, _ := tracing.Active().Server("", "GET", time.Now())
		span.EndServer(telemetry.Request{Method: "GET", Status: 200})
	}
	end()
	testenv.Eventually(t, "an export hangs", func() bool { return f.Receiver.Requests() > 0 })
	const more = 500
	for range maxQueued - 1 + more {
		end()
	}
	if got := f.Counted("dropped"); got != more {
		t.Errorf("%v spans are dropped, want %d", got, more)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := f.Stop(ctx); err != nil {
		t.Errorf("the stop returned %v", err)
	}
	if !strings.Contains(f.Log(), "not all traces were exported") {
		t.Errorf("log %s", f.Log())
	}
	f.Receiver.Close()
	testenv.Eventually(t, "the other spans fail", func() bool { return f.Counted("failed") == maxQueued })
}

// TestExportedSpansDoNotWait ends more spans than may wait, in two parts.
func TestExportedSpansDoNotWait(t *testing.T) {
	f := start(t, false, "OTEL_BSP_SCHEDULE_DELAY=1")
	for part := range 2 {
		for range maxQueued {
			span, _ := tracing.Active().Server("", "GET", time.Now())
			span.EndServer(telemetry.Request{Method: "GET", Status: 200})
		}
		want := float64((part + 1) * maxQueued)
		testenv.Eventually(t, "all spans are exported", func() bool { return f.Counted("exported") == want })
	}
	if got := f.Counted("dropped"); got != 0 {
		t.Errorf("%v spans are dropped", got)
	}
	if problems, err := testutil.GatherAndLint(f.Metrics); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestRefusedExportIsLoggedWithoutSecrets has a receiver that repeats the header.
func TestRefusedExportIsLoggedWithoutSecrets(t *testing.T) {
	f := start(t, false, "OTEL_EXPORTER_OTLP_HEADERS=api-key=hidden%20value,tenant=shop")
	f.Receiver.SetMode(otlp.Refuse)
	span, _ := tracing.Active().Server("", "GET", time.Now())
	span.EndServer(telemetry.Request{Method: "GET", Status: 200})
	f.Spans()
	if got := f.Receiver.Header().Get("Api-Key"); got != "hidden value" {
		t.Errorf("the header is %q", got)
	}
	log := f.Log()
	if !strings.Contains(log, "traces could not be exported") || !strings.Contains(log, "lostSpans=1") || strings.Contains(log, "hidden") {
		t.Errorf("log %s", log)
	}
	if got := f.Counted("failed"); got != 1 {
		t.Errorf("%v spans failed, want 1", got)
	}
}

func TestLongAttributesAreCut(t *testing.T) {
	f := start(t, false)
	it := item("a", sampled)
	it.Attributes = []attribute.KeyValue{attribute.String("statement", strings.Repeat("x", 5000))}
	_, batch := tracing.Active().StartBatch(t.Context(), tracing.Operation{Name: "batch"}, []tracing.Item{it})
	batch.End(nil, nil)
	if n := len(f.Spans()[0].Attributes["statement"]); n != 1024 {
		t.Errorf("the attribute has %d bytes", n)
	}
}

// TestOffAllocatesNothing calls what a request calls.
func TestOffAllocatesNothing(t *testing.T) { //nolint:paralleltest // what others allocate would count
	ctx, method := t.Context(), []byte("GET")
	got := testing.AllocsPerRun(100, func() {
		span := tracing.Of(ctx)
		span.Client(method, "stock:5003", 0).EndClient(200, nil)
		span.EndServer(telemetry.Request{})
		if span.Context(ctx) != ctx || span.TraceParent() != "" || tracing.Active() != nil {
			t.Error("the process traces")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
