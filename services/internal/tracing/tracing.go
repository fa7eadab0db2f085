// Package tracing records spans with OpenTelemetry and exports them over OTLP/HTTP. The
// standard variables OTEL_* configure it; without an endpoint nothing is recorded.
//
// The trace context itself, with the ids of logs and events, belongs to package telemetry
// and exists without tracing, too. With it, the span id in a traceparent is that of a span.
//
// Attributes and names follow the semantic conventions of OpenTelemetry. They contain no
// client address, query string, token, nor the text of an error, which may be personal data.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"ecommerce-stack.dev/services/internal/buildinfo"
)

// scope is the name of the instrumentation.
const scope = "ecommerce-stack.dev/services"

// Limits of spans and of the export at the end of the process.
const (
	maxAttribute = 1024 // bytes of a value, such as a statement with many rows
	maxLinks     = 512  // the largest batch of events
	flushTimeout = 3 * time.Second
)

// Tracer begins spans. It is safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// active is the tracer of the process, which has one, as it has one OTEL_SERVICE_NAME.
var active atomic.Pointer[Tracer]

// Active returns the tracer of the process, or nil if nothing is traced.
func Active() *Tracer { return active.Load() }

// Options of Start.
type Options struct {
	Config  Config
	Service string // the name of the service, unless OTEL_SERVICE_NAME is set
	// Edge is set if clients call the process directly; their traceparents then do not decide
	// what is sampled.
	Edge    bool
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Start sets the tracer of the process, if the configuration enables one. It does not
// connect. The returned function ends tracing and exports what is recorded, within 3 s and
// the deadline of its context. It logs what it cannot export, and returns no error, because
// the work of the process is done.
func Start(o Options) (stop func(context.Context) error, err error) {
	counts := newExport(o.Metrics) // also without tracing, so that a process always has its metrics
	if !o.Config.Enabled() {
		return func(context.Context) error { return nil }, nil
	}
	// The SDK would log header fields that it cannot parse; Config has checked them.
	otel.SetLogger(logr.Discard())
	ctx := context.Background()
	attributes, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(o.Service), semconv.ServiceVersion(buildinfo.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES is not a comma-separated list of name=value: %w", ErrInvalid)
	}
	client, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("create the exporter of traces: %w", err)
	}
	otel.SetErrorHandler(&warnings{log: o.Log, export: counts, now: time.Now,
		secrets: append(o.Config.OTLPHeaders.values, o.Config.TracesHeaders.values...)})
	limits := sdk.NewSpanLimits()
	limits.AttributeValueLengthLimit, limits.LinkCountLimit = maxAttribute, maxLinks
	batches := sdk.NewBatchSpanProcessor(exporter{client, counts}, sdk.WithMaxQueueSize(maxQueued))
	provider := sdk.NewTracerProvider(sdk.WithResource(attributes), sdk.WithRawSpanLimits(limits),
		sdk.WithSampler(newSampler(o.Config, o.Edge)), sdk.WithSpanProcessor(processor{batches, counts}))
	t := &Tracer{provider: provider, tracer: provider.Tracer(scope)}
	active.Store(t)
	o.Log.Info("tracing", "endpoint", o.Config.endpoint())
	return t.stop(o.Log), nil
}

func (t *Tracer) stop(log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		active.CompareAndSwap(t, nil)
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		if err := t.provider.Shutdown(ctx); err != nil {
			log.WarnContext(ctx, "not all traces were exported before the end of the process", "error", err)
		}
		return nil
	}
}

// Provider returns the provider for instrumentation of other packages.
func (t *Tracer) Provider() trace.TracerProvider { return t.provider }
