package broker_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/hack/testenv/otlp"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/tracing/tracingtest"
)

const (
	cause = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	other = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

func tracedMessages() []broker.Message {
	at := time.Now().Add(-time.Minute)
	return []broker.Message{
		{ID: uuid.New(), Type: event.SaleCreatedType, Correlation: "7", TraceParent: cause, Time: at},
		{ID: uuid.New(), Type: event.SaleCreatedType, Correlation: "8", TraceParent: other, Time: at},
	}
}

func TestPublicationIsTracedFromItsTransaction(t *testing.T) {
	receiver := otlp.Start(t)
	process := tracingtest.Start(t, receiver.URL, false)
	batch := tracedMessages()
	_, end := broker.TracePublish(t.Context(), batch)
	end(batch[:1], errors.New("the broker rejected a message"))
	process.End()
	spans := receiver.Spans()
	if len(spans) != 3 {
		t.Fatalf("spans %+v", spans)
	}
	for i, s := range spans[:2] {
		if s.Name != "publish ecommerce.events:SaleCreated" || s.ParentID != cause[36:52] || s.Ended.Sub(s.Began) < time.Minute || s.Failed != (i == 1) {
			t.Errorf("span %+v", s)
		}
		if want := "00-" + s.TraceID + "-" + s.SpanID + "-01"; batch[i].TraceParent != want {
			t.Errorf("the message has the traceparent %s, want %s", batch[i].TraceParent, want)
		}
	}
	for name, want := range map[string]string{"messaging.system": "rabbitmq", "messaging.operation.type": "send", "messaging.operation.name": "publish",
		"messaging.destination.name": "ecommerce.events:SaleCreated", "messaging.rabbitmq.destination.routing_key": "SaleCreated",
		"messaging.message.id": batch[0].ID.String(), "messaging.message.conversation_id": "7"} {
		if got := spans[0].Attributes[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if s := spans[2]; s.Name != "publish ecommerce.events" || s.Attributes["messaging.batch.message_count"] != "2" || !s.Failed {
		t.Errorf("the batch has the span %+v", s)
	}
}

// TestDeliveryContinuesTraceOfHeader has headers that are missing or not valid.
func TestDeliveryContinuesTraceOfHeader(t *testing.T) {
	receiver := otlp.Start(t)
	process := tracingtest.Start(t, receiver.URL, false)
	e := event.Envelope{ID: uuid.New(), Type: event.ProductChangedType, Subject: "7", TraceParent: cause}
	for _, header := range []any{other, nil, "malformed", 7} {
		broker.TraceDelivery("gateway", amqp.Delivery{Headers: amqp.Table{"traceparent": header}}, e)()
	}
	process.End()
	for i, s := range receiver.Spans() {
		want := cause
		if i == 0 {
			want = other
		}
		if s.TraceID != want[3:35] || s.ParentID != want[36:52] || s.Name != "process ecommerce.events:ProductChanged:gateway" {
			t.Errorf("span %d: %+v", i, s)
		}
	}
}

func TestWithoutTracingTraceParentsStay(t *testing.T) { //nolint:paralleltest // other tests trace the process
	batch := tracedMessages()
	_, end := broker.TracePublish(t.Context(), batch)
	end(nil, nil)
	envelopes := []event.Envelope{{TraceParent: cause}}
	_, endSpans := broker.TraceProcess(t.Context(), event.SalesQueue, envelopes)
	endSpans(nil)
	if batch[0].TraceParent != cause || batch[1].TraceParent != other || envelopes[0].TraceParent != cause {
		t.Errorf("got %v, %v", batch, envelopes)
	}
}
