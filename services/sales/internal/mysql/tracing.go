package mysql

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"ecommerce-stack.dev/services/internal/tracing"
)

// startSpans begins the spans of the transaction that the creations of a batch share, and
// sets the traceparents of their events. The returned function ends them.
func startSpans(ctx context.Context, batch []*creation) (context.Context, func(error)) {
	t := tracing.Active()
	if t == nil {
		for _, c := range batch {
			c.eventTrace = c.traceParent
		}
		return ctx, func(error) {}
	}
	o := tracing.Operation{Name: "create sales", Kind: trace.SpanKindInternal}
	items := make([]tracing.Item, len(batch))
	for i, c := range batch {
		items[i] = tracing.Item{Operation: tracing.Operation{Name: "create sale", Kind: trace.SpanKindInternal}, TraceParent: c.traceParent}
	}
	ctx, spans := t.StartBatch(ctx, o, items)
	for i, c := range batch {
		c.eventTrace = spans.TraceParent(i)
	}
	return ctx, func(err error) { spans.End(err, nil) }
}
