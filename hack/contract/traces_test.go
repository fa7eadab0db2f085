package contract_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/hack/testenv/otlp"
	"ecommerce-stack.dev/services/event"
)

var services = []string{"auth", "stock", "sales", "gateway"}

// exportSecret is sent with each export.
const exportSecret = "secret-of-the-receiver"

// traced is a system whose services export traces, with a customer and a product.
type traced struct {
	*local.System
	t        *testing.T
	receiver *otlp.Receiver
	api      *client.Client
	customer client.User
	product  client.Product
}

// startTraced restarts the services with tracing, and without it at the end of the test.
func startTraced(t *testing.T, sampling string, env ...string) *traced {
	t.Helper()
	s := &traced{System: startSystem(t), t: t, receiver: otlp.Start(t)}
	for _, name := range services {
		s.stop(name)
		remove := s.Configure(name, append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + s.receiver.URL, "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
			"OTEL_TRACES_SAMPLER_ARG=" + sampling, "OTEL_RESOURCE_ATTRIBUTES=k8s.namespace.name=shop", "OTEL_BSP_SCHEDULE_DELAY=50",
			"OTEL_EXPORTER_OTLP_HEADERS=api-key=" + exportSecret}, env...)...)
		t.Cleanup(func() { s.stop(name); remove(); s.start(name) })
		s.start(name)
	}
	s.api = &client.Client{URL: s.URL}
	manager, err := s.api.Login(t.Context(), s.ManagerEmail, s.ManagerPassword)
	if err != nil {
		t.Fatal(err)
	}
	if s.product, err = s.api.AddProduct(t.Context(), manager, client.Product{Name: "Traced", Price: "1.00"}); err != nil {
		t.Fatal(err)
	}
	if _, err = s.api.Receive(t.Context(), manager, s.product.ID, 1000); err != nil {
		t.Fatal(err)
	}
	if s.customer, err = s.api.Register(t.Context(), "traced", strings.ToLower(rand.Text())+"@example.com", rand.Text()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *traced) stop(name string) {
	s.t.Helper()
	if err := s.StopService(name); err != nil {
		s.t.Error(err)
	}
}

func (s *traced) start(name string) {
	s.t.Helper()
	if err := s.Restart(context.Background(), name); err != nil {
		s.t.Error(err)
	}
}

// place creates a sale with a traceparent.
func (s *traced) place(hold bool, traceParent string) client.Sale {
	s.t.Helper()
	body := map[string]any{"items": []client.Item{{ProductID: s.product.ID, Quantity: 1}}, "hold": hold}
	var sale client.Sale
	if err := s.api.Do(s.t.Context(), s.customer, http.MethodPost, "/sales", body, &sale, "Traceparent", traceParent); err != nil {
		s.t.Fatal(err)
	}
	return sale
}

func (s *traced) await(sale client.Sale, what string, is func(client.Sale) bool) {
	s.t.Helper()
	if _, err := s.api.Await(s.t.Context(), s.customer, sale.ID, what, is); err != nil {
		s.t.Fatal(err)
	}
}

// flush stops the services, which export what they have recorded, and starts them again.
func (s *traced) flush() {
	s.t.Helper()
	for _, name := range slices.Backward(services) {
		s.stop(name)
	}
	for _, name := range services {
		s.start(name)
	}
}

// traceContext is the trace of a client.
type traceContext struct{ traceID, spanID string }

func newTraceContext() traceContext {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return traceContext{hex.EncodeToString(b[:16]), hex.EncodeToString(b[16:])}
}

func (c traceContext) header(flags string) string {
	return "00-" + c.traceID + "-" + c.spanID + "-" + flags
}

// trace has the spans of one trace.
type trace struct {
	t     *testing.T
	spans []otlp.Span
}

// trace waits until a trace has a span of a service, and returns its spans.
func (s *traced) trace(c traceContext, service, name string) trace {
	s.t.Helper()
	of := func() trace {
		return trace{s.t, slices.DeleteFunc(s.receiver.Spans(), func(span otlp.Span) bool { return span.TraceID != c.traceID })}
	}
	testenv.Eventually(s.t, "the trace has a span "+name+" of "+service, func() bool {
		return len(of().find(service, name)) > 0
	})
	s.flush() // or spans that ended before could be missing
	return of()
}

func (tr trace) find(service, name string) []otlp.Span {
	return slices.DeleteFunc(slices.Clone(tr.spans), func(span otlp.Span) bool { return span.Service != service || span.Name != name })
}

func (tr trace) String() string {
	var b strings.Builder
	for _, s := range tr.spans {
		fmt.Fprintf(&b, "\n%s %q %s, parent %s, %d links", s.Service, s.Name, s.SpanID, s.ParentID, len(s.Links))
	}
	return b.String()
}

// step is a span, with the span before it as the parent.
type step struct{ service, name string }

// follow checks that a trace has the steps, each a child of the step before, and returns
// the last.
func (tr trace) follow(parent string, steps ...step) otlp.Span {
	tr.t.Helper()
	var last otlp.Span
	for _, s := range steps {
		found := slices.DeleteFunc(tr.find(s.service, s.name), func(span otlp.Span) bool { return span.ParentID != parent })
		if len(found) != 1 {
			tr.t.Fatalf("%d spans %q of %s are children of %q, want 1: %s", len(found), s.name, s.service, last.Name, tr)
		}
		last, parent = found[0], found[0].SpanID
	}
	return last
}

// isWhole checks that every span but the first has its parent in the trace.
func (tr trace) isWhole(client traceContext) {
	tr.t.Helper()
	known := map[string]bool{client.spanID: true}
	for _, s := range tr.spans {
		known[s.SpanID] = true
	}
	for _, s := range tr.spans {
		if !known[s.ParentID] {
			tr.t.Errorf("the parent of %q of %s is not in the trace: %s", s.Name, s.Service, tr)
		}
	}
}

// publish and process return the names of the spans of an event.
func publish(eventType string) string { return "publish " + event.Exchange + ":" + eventType }

func process(eventType, queue string) string {
	return "process " + event.Exchange + ":" + eventType + ":" + queue
}

// TestOrderIsOneTrace follows an order by its spans, and by the trace id in the logs. The
// client's trace is not sampled, which does not matter.
func TestOrderIsOneTrace(t *testing.T) {
	s := startTraced(t, "1")
	c := newTraceContext()
	sale := s.place(false, c.header("00"))
	s.await(sale, "Confirmed", func(sale client.Sale) bool { return sale.Status == "Confirmed" })
	tr := s.trace(c, "sales", process(event.StockReleasedType, event.SalesQueue))

	request := tr.follow(c.spanID, step{"gateway", "POST /sales"})
	if request.Kind != otlp.Server || request.Attributes["http.response.status_code"] != "202" || request.Attributes["http.route"] != "/sales" {
		t.Errorf("the span of the request is %+v", request)
	}
	created := tr.follow(request.SpanID, step{"gateway", "POST"}, step{"sales", "POST /sales"}, step{"sales", "create sale"})
	for _, statement := range []string{"BEGIN", "INSERT sales", "INSERT outbox", "COMMIT"} {
		tr.follow(created.SpanID, step{"sales", statement})
	}
	released := tr.follow(created.SpanID,
		step{"sales", publish(event.SaleCreatedType)}, step{"stock", process(event.SaleCreatedType, event.StockQueue)},
		step{"stock", publish(event.SaleItemsReservedResponseType)}, step{"sales", process(event.SaleItemsReservedResponseType, event.SalesQueue)},
		step{"sales", publish(event.SaleConfirmedType)}, step{"stock", process(event.SaleConfirmedType, event.StockQueue)},
		step{"stock", publish(event.StockReleasedType)}, step{"sales", process(event.StockReleasedType, event.SalesQueue)})
	if released.Kind != otlp.Consumer || released.Attributes["messaging.message.conversation_id"] != fmt.Sprint(sale.ID) {
		t.Errorf("the span of the last event is %+v", released)
	}
	if n := len(tr.find("stock", "INSERT outbox")); n != 2 {
		t.Errorf("stock has %d spans of the outbox in the trace, want 2: %s", n, tr)
	}
	tr.isWhole(c)
	for _, service := range []string{"gateway", "sales"} {
		if !strings.Contains(s.log(service), `"traceId":"`+c.traceID+`"`) {
			t.Errorf("the log of %s does not have the trace id", service)
		}
	}
	s.checkContent()
}

// checkContent checks what spans of all services contain, and what they do not.
func (s *traced) checkContent() {
	s.t.Helper()
	seen := map[string]bool{}
	for _, span := range s.receiver.Spans() {
		seen[span.Service] = true
		encoded, err := json.Marshal(span)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, secret := range append(s.Secrets(), s.ManagerEmail, s.customer.Email, "Bearer", "search=") {
			if bytes.Contains(encoded, []byte(secret)) {
				s.t.Errorf("a span contains %q: %s", secret, encoded)
			}
		}
		for _, probe := range []string{"/health", "/livez", "/readyz", "/metrics"} {
			if bytes.Contains(encoded, []byte(probe)) {
				s.t.Errorf("a probe or scrape has a span: %s", encoded)
			}
		}
		if span.Resource["k8s.namespace.name"] != "shop" || span.Events != 0 {
			s.t.Errorf("span %s", encoded)
		}
	}
	for _, name := range services {
		if !seen[name] {
			s.t.Errorf("%s has exported no span", name)
		}
	}
	if got := s.receiver.Header().Get("Api-Key"); got != exportSecret {
		s.t.Errorf("the export has the header %q", got)
	}
}

func TestHoldAndConfirmationAreOneTrace(t *testing.T) {
	s := startTraced(t, "1")
	c := newTraceContext()
	sale := s.place(true, c.header("01"))
	testenv.Eventually(t, "the hold is reserved", func() bool {
		return len(trace{t, s.receiver.Spans()}.find("sales", process(event.SaleItemsReservedResponseType, event.SalesQueue))) > 0
	})
	path := fmt.Sprintf("/sales/%d", sale.ID)
	if err := s.api.Do(t.Context(), s.customer, http.MethodPatch, path, map[string]string{"status": "Confirmed"}, nil,
		"Traceparent", c.header("01")); err != nil {
		t.Fatal(err)
	}
	tr := s.trace(c, "sales", process(event.StockReleasedType, event.SalesQueue))
	tr.follow(c.spanID, step{"gateway", "POST /sales"}, step{"gateway", "POST"}, step{"sales", "POST /sales"}, step{"sales", "create sale"},
		step{"sales", publish(event.SaleCreatedType)}, step{"stock", process(event.SaleCreatedType, event.StockQueue)},
		step{"stock", publish(event.SaleItemsReservedResponseType)}, step{"sales", process(event.SaleItemsReservedResponseType, event.SalesQueue)})
	confirmed := tr.follow(c.spanID, step{"gateway", "PATCH /sales/{id}"}, step{"gateway", "PATCH"}, step{"sales", "PATCH /sales/{id}"})
	tr.follow(confirmed.SpanID, step{"sales", "INSERT outbox"})
	tr.follow(confirmed.SpanID, step{"sales", publish(event.SaleConfirmedType)}, step{"stock", process(event.SaleConfirmedType, event.StockQueue)},
		step{"stock", publish(event.StockReleasedType)}, step{"sales", process(event.StockReleasedType, event.SalesQueue)})
	tr.isWhole(c)
}

// TestBatchHasLinks has stock handle the events of several orders at once.
func TestBatchHasLinks(t *testing.T) {
	s := startTraced(t, "1")
	s.stop("stock")
	const orders = 8
	var contexts []traceContext
	var last client.Sale
	for range orders {
		c := newTraceContext()
		contexts = append(contexts, c)
		last = s.place(false, c.header("00"))
	}
	queued := func() bool {
		info, err := s.RabbitMQ.Info.Management()
		if err != nil {
			t.Fatal(err)
		}
		queue, err := info.GetQueue("shop.demo", event.StockQueue)
		return err == nil && queue.MessagesReady >= orders
	}
	testenv.Eventually(t, "the events are in the queue", queued)
	s.start("stock")
	s.await(last, "Confirmed", func(sale client.Sale) bool { return sale.Status == "Confirmed" })
	s.trace(contexts[orders-1], "sales", process(event.StockReleasedType, event.SalesQueue))

	all := trace{t, s.receiver.Spans()}
	linked := map[otlp.Link]otlp.Span{}
	for _, batch := range all.find("stock", "process "+event.StockQueue) {
		if batch.ParentID != "" || len(batch.Links) < 2 {
			t.Errorf("the batch has the parent %q and %d links", batch.ParentID, len(batch.Links))
		}
		for _, l := range batch.Links {
			linked[l] = batch
		}
		if !slices.ContainsFunc(all.find("stock", "COMMIT"), func(span otlp.Span) bool { return span.ParentID == batch.SpanID }) {
			t.Errorf("the transaction of the batch does not belong to its span: %s", all)
		}
	}
	batched := 0
	for _, c := range contexts {
		tr := trace{t, slices.DeleteFunc(s.receiver.Spans(), func(span otlp.Span) bool { return span.TraceID != c.traceID })}
		tr.isWhole(c)
		handled := tr.find("stock", process(event.SaleCreatedType, event.StockQueue))
		if len(handled) != 1 {
			t.Fatalf("%d spans, want 1: %s", len(handled), tr)
		}
		batch, ok := linked[otlp.Link{TraceID: c.traceID, SpanID: handled[0].SpanID}]
		if !ok {
			continue // It was handled alone.
		}
		batched++
		if want := []otlp.Link{{TraceID: batch.TraceID, SpanID: batch.SpanID}}; !slices.Equal(handled[0].Links, want) {
			t.Errorf("the span of an event has the links %v, want %v", handled[0].Links, want)
		}
	}
	if batched < 2 {
		t.Errorf("%d of %d events were handled in a batch", batched, orders)
	}
}

// requestTimeout is far below the time that the exporter waits for a receiver.
const requestTimeout = 5 * time.Second

// TestUnavailableReceiverDelaysNoRequest has receivers that refuse, do not respond, or do
// not exist. Each process logs one warning, whatever the number of exports.
func TestUnavailableReceiverDelaysNoRequest(t *testing.T) {
	s := startTraced(t, "1", "OTEL_EXPORTER_OTLP_TIMEOUT=20000")
	sale := s.place(false, newTraceContext().header("01"))
	for _, fault := range []struct {
		name     string
		begin    func()
		exports  int // that reach the receiver
		warnings int
	}{
		{"refuses", func() { s.receiver.SetMode(otlp.Refuse) }, 20, 1},
		{"hangs", func() { s.receiver.SetMode(otlp.Hang) }, 2, 0}, // one of the gateway, one of sales
		{"is absent", s.receiver.Close, 0, 1},
	} {
		t.Run(fault.name, func(t *testing.T) {
			s.stop("gateway") // A new process may log its first warning.
			before, exported := len(s.log("gateway")), s.receiver.Requests()
			fault.begin()
			s.start("gateway")
			requests := 0 // since the fault has an effect
			testenv.Eventually(t, "exports fail", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
				defer cancel()
				_, err := s.api.Sale(ctx, s.customer, sale.ID)
				if p, ok := errors.AsType[*client.Problem](err); err != nil && (!ok || p.Status != http.StatusTooManyRequests) {
					t.Fatalf("request %d: %v", requests, err)
				}
				if s.receiver.Requests()-exported >= fault.exports && (fault.warnings == 0 || s.failedSpans("gateway") > 0) {
					requests++
				}
				return requests > 100
			})
			log := s.log("gateway")[before:]
			if n := strings.Count(log, `"traces could not be exported"`); n != fault.warnings {
				t.Errorf("%d warnings, want %d:\n%s", n, fault.warnings, log)
			}
		})
	}
	for _, name := range services {
		if strings.Contains(s.log(name), exportSecret) {
			t.Errorf("the log of %s contains the header of the export", name)
		}
	}
}

// log returns the log of a service, with that of its processes before.
func (s *traced) log(service string) string {
	s.t.Helper()
	log, err := os.ReadFile(s.LogFile(service))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(log)
}

// failedSpans returns the number of spans that a service could not export.
func (s *traced) failedSpans(service string) float64 {
	s.t.Helper()
	for _, m := range parse(s.t, scrape(s.t, s.MetricsURL(service)+"/metrics"))["ecommerce_trace_spans_total"].GetMetric() {
		if m.GetLabel()[0].GetValue() == "failed" {
			return m.GetCounter().GetValue()
		}
	}
	s.t.Fatalf("%s has no metric of failed spans", service)
	return 0
}

// TestSamplingRatioZeroExportsNothing also has clients that want to be sampled.
func TestSamplingRatioZeroExportsNothing(t *testing.T) {
	s := startTraced(t, "0")
	c := newTraceContext()
	sale := s.place(false, c.header("01"))
	s.await(sale, "Confirmed", func(sale client.Sale) bool { return sale.Status == "Confirmed" })
	s.flush()
	if spans := s.receiver.Spans(); len(spans) > 0 || s.receiver.Requests() > 0 {
		t.Errorf("%d spans were exported: %s", len(spans), trace{t, spans})
	}
	for _, service := range []string{"gateway", "sales"} {
		if !strings.Contains(s.log(service), `"traceId":"`+c.traceID+`"`) {
			t.Errorf("the log of %s does not have the trace id of the client", service)
		}
	}
}
