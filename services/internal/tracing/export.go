package tracing

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"ecommerce-stack.dev/services/internal/telemetry"
)

// maxQueued is the number of spans that wait for their export. Further ones are dropped, so
// that a receiver that does not respond takes at most this memory, and no time.
const maxQueued = 4096

// Results of a span, which are values of a label.
const (
	resultExported = "exported"
	resultFailed   = "failed"
	resultDropped  = "dropped"
)

// export counts the spans on their way to the exporter. The queue of the SDK has the same
// limit, but does not count what it drops.
type export struct {
	queued atomic.Int64
	lost   atomic.Int64 // since the last warning
	spans  *prometheus.CounterVec
}

func newExport(reg prometheus.Registerer) *export {
	e := &export{spans: telemetry.NewCounterVec("ecommerce_trace_spans_total",
		"Spans that ended, by result: exported, failed (the receiver refused them or did not respond) or dropped (too many were waiting).",
		"result", resultExported, resultFailed, resultDropped)}
	reg.MustRegister(e.spans)
	return e
}

// lose counts spans that the receiver does not get.
func (e *export) lose(result string, n int64) {
	e.lost.Add(n)
	e.spans.WithLabelValues(result).Add(float64(n))
}

// processor drops the spans over the limit, and passes the others on.
type processor struct {
	sdk.SpanProcessor
	*export
}

// OnEnd implements sdk.SpanProcessor.
func (p processor) OnEnd(s sdk.ReadOnlySpan) {
	if p.queued.Add(1) > maxQueued {
		p.queued.Add(-1)
		p.lose(resultDropped, 1)
		return
	}
	p.SpanProcessor.OnEnd(s)
}

// exporter exports and counts spans.
type exporter struct {
	sdk.SpanExporter
	*export
}

// ExportSpans implements sdk.SpanExporter.
func (e exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.queued.Add(-int64(len(spans)))
	if err != nil {
		e.lose(resultFailed, int64(len(spans)))
		return err
	}
	e.spans.WithLabelValues(resultExported).Add(float64(len(spans)))
	return nil
}

// Limits of warnings.
const (
	warningInterval = time.Minute
	maxWarning      = 512 // bytes of an error, which may contain the body of a response
)

// warnings logs the errors of the SDK, at most one in a warningInterval. It implements
// otel.ErrorHandler.
type warnings struct {
	log     *slog.Logger
	secrets []string
	*export

	mu         sync.Mutex
	next       time.Time
	suppressed int
	now        func() time.Time
}

// Handle implements otel.ErrorHandler.
func (w *warnings) Handle(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if now.Before(w.next) {
		w.suppressed++
		return
	}
	w.log.Warn("traces could not be exported", "error", w.clean(err.Error()), "suppressedWarnings", w.suppressed,
		"lostSpans", w.lost.Swap(0))
	w.next, w.suppressed = now.Add(warningInterval), 0
}

// clean removes the secrets from a text: a receiver may repeat the header of a request.
func (w *warnings) clean(text string) string {
	for _, s := range w.secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	return text[:min(len(text), maxWarning)]
}
