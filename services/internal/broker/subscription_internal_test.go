package broker

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
)

// TestSubscriptionWithUnfinishedMessagesIsNotRenewed publishes a message when the subscription
// would be renewed, which would return the first message to its queue.
func TestSubscriptionWithUnfinishedMessagesIsNotRenewed(t *testing.T) {
	t.Parallel()
	url := testenv.Broker(t).URL()
	if err := Declare(url); err != nil {
		t.Fatal(err)
	}
	conn, err := Dial(url, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer CloseWithDeadline(conn)
	publisher, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	publish := func(id string) {
		t.Helper()
		if err := publisher.PublishWithContext(t.Context(), event.Exchange, event.SaleCanceledType, true, false, amqp.Publishing{MessageId: id}); err != nil {
			t.Error(err)
		}
	}
	s := &subscription{conn: conn, queue: event.StockQueue, tag: "test", prefetch: 10}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	publish("first")
	for _, want := range []string{"first", "second"} {
		got, _, err := s.next(t.Context(), func() bool { publish("second"); return true })
		if err != nil || got.MessageId != want || got.Redelivered {
			t.Fatalf("delivery %q (redelivered: %t), %v, want %q", got.MessageId, got.Redelivered, err, want)
		}
	}
}
