package broker

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
)

// traceHeader is the header of a message with its traceparent. It is that of the span which
// published the message, if that was traced; the field of the envelope has its cause.
const traceHeader = "traceparent"

// traceParentOf returns the traceparent that the handling of a message continues.
func traceParentOf(d amqp.Delivery, e event.Envelope) string {
	if header, ok := d.Headers[traceHeader].(string); ok && telemetry.ValidTraceParent(header) {
		return header
	}
	return e.TraceParent
}

// TracePublish begins the spans of the publication of a batch, each since the transaction
// that published the event, and sets the traceparents of the messages. The returned function
// ends them, with the messages that the broker has confirmed.
func TracePublish(ctx context.Context, batch []Message) (context.Context, func(confirmed []Message, err error)) {
	t := tracing.Active()
	if t == nil || len(batch) == 0 {
		return ctx, func([]Message, error) {}
	}
	items := make([]tracing.Item, len(batch))
	for i, m := range batch {
		o := operation(trace.SpanKindProducer, "publish", semconv.MessagingOperationTypeSend, event.Exchange+":"+m.Type)
		o.Attributes = append(o.Attributes, messageAttributes(m.ID.String(), m.Type, m.Correlation)...)
		items[i] = tracing.Item{Operation: o, TraceParent: m.TraceParent, Began: m.Time}
	}
	o := operation(trace.SpanKindClient, "publish", semconv.MessagingOperationTypeSend, event.Exchange)
	o.Attributes = append(o.Attributes, semconv.MessagingBatchMessageCount(len(batch)))
	ctx, spans := t.StartBatch(ctx, o, items)
	for i := range batch {
		batch[i].TraceParent = spans.TraceParent(i)
	}
	return ctx, func(confirmed []Message, err error) {
		spans.End(err, func(i int) bool {
			for _, m := range confirmed {
				if m.ID == batch[i].ID {
					return false
				}
			}
			return true
		})
	}
}

// TraceProcess begins the spans of the handling of a batch from a queue, and sets the
// traceparents of the events, for the events that they cause. The returned function ends
// them.
func TraceProcess(ctx context.Context, queue string, batch []event.Envelope) (context.Context, func(error)) {
	t := tracing.Active()
	if t == nil {
		return ctx, func(error) {}
	}
	items := make([]tracing.Item, len(batch))
	for i, e := range batch {
		o := operation(trace.SpanKindConsumer, "process", semconv.MessagingOperationTypeProcess, event.Exchange+":"+e.Type+":"+queue)
		o.Attributes = append(o.Attributes, messageAttributes(e.ID.String(), e.Type, e.Subject)...)
		items[i] = tracing.Item{Operation: o, TraceParent: e.TraceParent}
	}
	o := operation(trace.SpanKindConsumer, "process", semconv.MessagingOperationTypeProcess, queue)
	o.Attributes = append(o.Attributes, semconv.MessagingBatchMessageCount(len(batch)))
	ctx, spans := t.StartBatch(ctx, o, items)
	for i := range batch {
		batch[i].TraceParent = spans.TraceParent(i)
	}
	return ctx, func(err error) { spans.End(err, nil) }
}

// TraceDelivery begins the span of the handling of a message that is not part of a batch. The
// returned function ends it.
func TraceDelivery(queue string, d amqp.Delivery, e event.Envelope) (end func()) {
	e.TraceParent = traceParentOf(d, e)
	_, endSpan := TraceProcess(context.Background(), queue, []event.Envelope{e})
	return func() { endSpan(nil) }
}

// operation returns the description of a span. The destination is named as the semantic
// conventions say for RabbitMQ: exchange, routing key and queue, as far as they apply.
func operation(kind trace.SpanKind, name string, operationType attribute.KeyValue, destination string) tracing.Operation {
	return tracing.Operation{Name: name + " " + destination, Kind: kind, Attributes: []attribute.KeyValue{
		semconv.MessagingSystemRabbitMQ, operationType, semconv.MessagingOperationName(name), semconv.MessagingDestinationName(destination)}}
}

// messageAttributes returns the attributes of a message; conversation is the id of the sale.
func messageAttributes(id, routingKey, conversation string) []attribute.KeyValue {
	return []attribute.KeyValue{semconv.MessagingMessageID(id), semconv.MessagingRabbitMQDestinationRoutingKey(routingKey),
		semconv.MessagingMessageConversationID(conversation)}
}
