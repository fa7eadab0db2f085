package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
)

// TestRepublishedEventsChangeNothing records the events of decided sales, publishes them
// again in the opposite order, twice, and compares the sales, their timelines and the stock.
func TestRepublishedEventsChangeNothing(t *testing.T) {
	t.Parallel()
	s := startShop(t, 10)
	recorder := s.record(t)
	confirmed, rejected := s.place(t, 1, false), s.place(t, 99, false)
	held, canceled := s.place(t, 2, true), s.place(t, 3, true)
	s.awaitEntry(t, held, event.SaleItemsReservedResponseType)
	if _, err := s.Confirm(t.Context(), s.customer, held); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry(t, canceled, event.SaleItemsReservedResponseType)
	if err := s.Cancel(t.Context(), s.customer, canceled); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry(t, confirmed, event.StockReleasedType)
	s.awaitEntry(t, rejected, event.SaleCreationFailedType)
	s.awaitEntry(t, held, event.StockReleasedType)
	s.awaitEntry(t, canceled, event.StockCanceledType)
	const eventsOfConfirmed, eventsOfRejected, eventsOfCanceled = 4, 2, 4
	recorded := recorder.receive(t, func(events []event.Envelope) bool {
		return len(events) == 2*eventsOfConfirmed+eventsOfRejected+eventsOfCanceled
	})
	sales := []int64{confirmed, rejected, held, canceled}
	before := s.describe(t, sales)

	slices.Reverse(recorded)
	for _, e := range append(recorded, recorded...) {
		recorder.publish(t, e)
	}
	// The queues are ordered, so the events of a later sale are handled last.
	last := s.place(t, 1, false)
	s.awaitEntry(t, last, event.StockReleasedType)
	if after := s.describe(t, sales); after != before {
		t.Errorf("sales before:\n%s\nafter:\n%s", before, after)
	}
	received := recorder.receive(t, func(events []event.Envelope) bool {
		return slices.ContainsFunc(events, func(e event.Envelope) bool {
			return e.Type == event.StockReleasedType && e.Subject == strconv.FormatInt(last, 10)
		})
	})
	if want := 2*len(recorded) + eventsOfConfirmed; len(received) != want {
		t.Errorf("%d events, want %d: the recorded ones twice, and those of another sale", len(received), want)
	}
	s.awaitStock(t, client.Stock{Available: 6, Removed: 4})
}

// place places an order and returns the ID of the sale.
func (s shop) place(t *testing.T, quantity int64, hold bool) int64 {
	t.Helper()
	sale, err := s.Place(t.Context(), s.customer, hold, "", client.Item{ProductID: s.product, Quantity: quantity})
	if err != nil {
		t.Fatal(err)
	}
	return sale.ID
}

// timeline returns the timeline of a sale.
func (s shop) timeline(t *testing.T, id int64) (types []string, raw json.RawMessage) {
	t.Helper()
	if err := s.Do(t.Context(), s.customer, http.MethodGet, fmt.Sprintf("/sales/%d/events", id), nil, &raw); err != nil {
		t.Fatal(err)
	}
	var page struct{ Items []struct{ Type string } }
	if err := json.Unmarshal(raw, &page); err != nil {
		t.Fatal(err)
	}
	for _, entry := range page.Items {
		types = append(types, entry.Type)
	}
	return types, raw
}

// awaitEntry waits until the timeline of a sale has an entry.
func (s shop) awaitEntry(t *testing.T, id int64, entry string) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("the timeline of sale %d contains %s", id, entry), func() bool {
		types, _ := s.timeline(t, id)
		return slices.Contains(types, entry)
	})
}

// describe returns sales with their timelines as text.
func (s shop) describe(t *testing.T, sales []int64) string {
	t.Helper()
	text := ""
	for _, id := range sales {
		var sale json.RawMessage
		if err := s.Do(t.Context(), s.customer, http.MethodGet, fmt.Sprintf("/sales/%d", id), nil, &sale); err != nil {
			t.Fatal(err)
		}
		_, timeline := s.timeline(t, id)
		text += fmt.Sprintf("%s\n%s\n", sale, timeline)
	}
	return text
}

// recorder receives a copy of every event of sales, and publishes events.
type recorder struct {
	channel *amqp.Channel
	events  <-chan amqp.Delivery
}

func (s shop) record(t *testing.T) recorder {
	t.Helper()
	info := s.RabbitMQ.Info
	address := url.URL{Scheme: "amqp", User: url.UserPassword(info.Username, info.Password),
		Host: net.JoinHostPort(info.Host, strconv.Itoa(info.Port)), Path: "/shop.demo"}
	conn, err := amqp.Dial(address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queue, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range event.Queues {
		for _, name := range q.Events {
			if err := ch.QueueBind(queue.Name, name, event.Exchange, false, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	events, err := ch.Consume(queue.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	return recorder{ch, events}
}

// receive returns the next events, up to the one after which complete returns true.
func (r recorder) receive(t *testing.T, complete func([]event.Envelope) bool) []event.Envelope {
	t.Helper()
	var received []event.Envelope
	timeout := time.After(time.Minute)
	for !complete(received) {
		select {
		case d, ok := <-r.events:
			if !ok {
				t.Fatal("the recorder is disconnected")
			}
			e, err := event.Parse(d.Body)
			if err != nil {
				t.Fatal(err)
			}
			received = append(received, e)
		case <-timeout:
			t.Fatalf("only %d events within a minute: %v", len(received), received)
		}
	}
	return received
}

func (r recorder) publish(t *testing.T, e event.Envelope) {
	t.Helper()
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	confirm, err := r.channel.PublishWithDeferredConfirmWithContext(ctx, event.Exchange, e.Type, true, false, amqp.Publishing{
		ContentType: event.ContentType, DeliveryMode: amqp.Persistent, MessageId: e.ID.String(), Type: e.Type, CorrelationId: e.Subject, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if confirmed, err := confirm.WaitContext(ctx); err != nil || !confirmed {
		t.Fatalf("publish %s: confirmed %t, %v", e.Type, confirmed, err)
	}
}
