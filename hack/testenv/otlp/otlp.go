// Package otlp implements a receiver of traces over OTLP/HTTP for tests. It stores the spans,
// and can refuse or ignore requests as a receiver that does not work does.
package otlp

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Kinds of spans.
const (
	Internal = trace.Span_SPAN_KIND_INTERNAL
	Server   = trace.Span_SPAN_KIND_SERVER
	Client   = trace.Span_SPAN_KIND_CLIENT
	Producer = trace.Span_SPAN_KIND_PRODUCER
	Consumer = trace.Span_SPAN_KIND_CONSUMER
)

// Span is a received span. Ids are in hexadecimal; ParentID is "" for a span that begins a
// trace.
type Span struct {
	Service                   string // service.name of the resource
	Resource                  map[string]string
	TraceID, SpanID, ParentID string
	Name                      string
	Kind                      trace.Span_SpanKind
	Began, Ended              time.Time
	// Attributes are in the form of text.
	Attributes map[string]string
	Events     int
	Failed     bool
	Links      []Link
}

// Link is a link to another span.
type Link struct{ TraceID, SpanID string }

// Mode is what a Receiver does with requests.
type Mode int

// Modes of a Receiver.
const (
	Accept  Mode = iota
	Refuse       // with 400, which an exporter does not retry
	Hang         // until the client disconnects
	Discard      // accept, and store no span; for benchmarks
)

// Receiver is a receiver of traces. It is safe for concurrent use.
type Receiver struct {
	// URL is the base URL, for OTEL_EXPORTER_OTLP_ENDPOINT.
	URL    string
	server *httptest.Server

	mu       sync.Mutex
	mode     Mode
	requests int
	header   http.Header
	spans    []Span
}

// Start starts a receiver on a free port of loopback. It stops at the end of the test.
func Start(t testing.TB) *Receiver {
	r := &Receiver{}
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	r.URL = r.server.URL
	t.Cleanup(r.Close)
	return r
}

// Close stops the receiver, also in mode Hang.
func (r *Receiver) Close() {
	r.server.CloseClientConnections()
	r.server.Close()
}

// SetMode sets what the receiver does with requests from now on.
func (r *Receiver) SetMode(m Mode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = m
}

// Spans returns the spans that were accepted.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Span(nil), r.spans...)
}

// Requests returns the number of requests in all modes.
func (r *Receiver) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// Header returns the header of the last request.
func (r *Receiver) Header() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.header
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost || req.URL.Path != "/v1/traces" {
		http.NotFound(w, req)
		return
	}
	body, err := read(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.requests++
	r.header = req.Header
	mode := r.mode
	r.mu.Unlock()
	switch mode {
	case Refuse:
		// The header is in the response, because an exporter must not log it.
		http.Error(w, "refused, "+req.Header.Get("Api-Key"), http.StatusBadRequest)
		return
	case Hang:
		<-req.Context().Done()
		return
	case Discard:
		return
	}
	var export collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &export); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range export.GetResourceSpans() {
		attributes := texts(resource.GetResource().GetAttributes())
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				r.spans = append(r.spans, newSpan(attributes, s))
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func read(req *http.Request) ([]byte, error) {
	if req.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(req.Body)
	}
	unzipped, err := gzip.NewReader(req.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unzipped)
}

func newSpan(resource map[string]string, s *trace.Span) Span {
	out := Span{
		Service: resource["service.name"], Resource: resource, Name: s.GetName(), Kind: s.GetKind(),
		TraceID: hex.EncodeToString(s.GetTraceId()), SpanID: hex.EncodeToString(s.GetSpanId()), ParentID: hex.EncodeToString(s.GetParentSpanId()),
		Began: time.Unix(0, int64(s.GetStartTimeUnixNano())), Ended: time.Unix(0, int64(s.GetEndTimeUnixNano())),
		Attributes: texts(s.GetAttributes()), Events: len(s.GetEvents()),
		Failed: s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR,
	}
	for _, l := range s.GetLinks() {
		out.Links = append(out.Links, Link{hex.EncodeToString(l.GetTraceId()), hex.EncodeToString(l.GetSpanId())})
	}
	return out
}

// texts returns attributes in the form of text.
func texts(attributes []*common.KeyValue) map[string]string {
	out := make(map[string]string, len(attributes))
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			out[a.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			out[a.GetKey()] = strconv.FormatInt(v.IntValue, 10)
		default:
			out[a.GetKey()] = a.GetValue().String()
		}
	}
	return out
}
