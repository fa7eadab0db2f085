package broker_test

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
)

// TestDeletedQueueIsConsumedAgain deletes the queue of a consumer while it acknowledges a
// message, so that the broker does not cancel the consumer.
func TestDeletedQueueIsConsumedAgain(t *testing.T) {
	t.Parallel()
	url := topology(t)
	r := newRecorder(nil)
	consume(t, url, r)
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	p := publisher(t, url)
	for deleted := range 3 {
		if confirmed, err := p.Publish(t.Context(), messages(t, canceled(1)...)); err != nil || len(confirmed) != 1 {
			t.Fatalf("published %d events, want 1: %v", len(confirmed), err)
		}
		r.wait(t, deleted+1)
		if _, err := ch.QueueDelete(event.StockQueue, false, false, false); err != nil {
			t.Fatal(err)
		}
		if err := broker.Declare(url); err != nil {
			t.Fatal(err)
		}
	}
}
