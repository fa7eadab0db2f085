package tracing

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Operation describes the span of a batch, or of an item.
type Operation struct {
	Name       string
	Kind       trace.SpanKind
	Attributes []attribute.KeyValue
}

// Item is a part of a batch, which belongs to a trace of its own.
type Item struct {
	Operation
	// TraceParent is that of the item's cause. If it is not valid, the item begins a trace.
	TraceParent string
	Began       time.Time // zero is now
}

// Batch has the spans of work that is done together for items of different traces. Each
// item has a span in its own trace. If the batch has more than one item, it has a span in a
// trace of its own, with links to those of the items and from them.
type Batch struct {
	span  trace.Span // nil if no item is sampled, and for a single item
	items []trace.Span
}

// StartBatch begins the spans of a batch. The returned context is that of the common work,
// whose spans belong to the span of the batch, or to that of the only item. Spans that are
// not sampled are not recorded; a batch with none that is has no span.
func (t *Tracer) StartBatch(ctx context.Context, o Operation, items []Item) (context.Context, *Batch) {
	b := &Batch{items: make([]trace.Span, len(items))}
	var links []trace.Link
	for i, it := range items {
		options := []trace.SpanStartOption{trace.WithSpanKind(it.Kind), trace.WithAttributes(it.Attributes...)}
		if !it.Began.IsZero() {
			options = append(options, trace.WithTimestamp(it.Began))
		}
		_, b.items[i] = t.tracer.Start(withParent(context.Background(), it.TraceParent), it.Name, options...)
		if b.items[i].IsRecording() {
			links = append(links, trace.Link{SpanContext: b.items[i].SpanContext()})
		}
	}
	if len(items) == 1 {
		return trace.ContextWithSpan(ctx, b.items[0]), b
	}
	if len(links) == 0 {
		return ctx, b
	}
	ctx, b.span = t.tracer.Start(ctx, o.Name, trace.WithNewRoot(), trace.WithSpanKind(o.Kind),
		trace.WithAttributes(o.Attributes...), trace.WithLinks(links...))
	for _, item := range b.items {
		item.AddLink(trace.Link{SpanContext: b.span.SpanContext()})
	}
	return ctx, b
}

// TraceParent returns the traceparent of an item, for what it causes.
func (b *Batch) TraceParent(i int) string { return traceParentOf(b.items[i]) }

// End ends the spans. failed reports whether err is the error of an item; nil is all.
func (b *Batch) End(err error, failed func(item int) bool) {
	for i, item := range b.items {
		if err != nil && (failed == nil || failed(i)) {
			fail(item, err)
		}
		item.End()
	}
	if b.span == nil {
		return
	}
	if err != nil {
		fail(b.span, err)
	}
	b.span.End()
}
