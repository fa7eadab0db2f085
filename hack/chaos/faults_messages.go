package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/services/event"
)

// messageKinds are faults of messages. They connect to the broker, and do not overlap with its
// faults.
func messageKinds() []kind {
	target := []string{brokerName}
	return []kind{
		{"duplicate and reorder messages of", target, 2 * time.Second, 5 * time.Second, duplicate},
		{"record messages of", target, 2 * time.Second, 5 * time.Second, record},
		{"poison", target, 0, time.Second, poison},
	}
}

// Limits of repeated messages.
const (
	copies      = 10
	maxRecorded = 300
)

// onChannel calls do with a channel of the broker's administrator, and again with another
// connection if the broker has closed it, for about 10 s. RabbitMQ 3.10 closes a connection that
// publishes to a quorum queue while the process restarts that publishes the queue's dead letters
// (541, INTERNAL_ERROR), as it does after the queue was deleted.
func (r *round) onChannel(ctx context.Context, do func(*amqp.Channel) error) error {
	for attempt := 1; ; attempt++ {
		err := r.tryChannel(do)
		var closed *amqp.Error
		if !errors.As(err, &closed) || attempt == maxBrokerAttempts || !sleep(ctx, pollInterval) {
			return err
		}
	}
}

// tryChannel calls do with a channel of a new connection.
func (r *round) tryChannel(do func(*amqp.Channel) error) error {
	info := r.store.RabbitMQ.Info
	address := url.URL{Scheme: "amqp", User: url.UserPassword(info.Username, info.Password),
		Host: net.JoinHostPort(info.Host, strconv.Itoa(info.Port)), Path: "/" + local.VHost}
	conn, err := amqp.DialConfig(address.String(), amqp.Config{Properties: amqp.Table{"connection_name": "chaos"}, Dial: amqp.DefaultDial(10 * time.Second)})
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	return do(ch)
}

// listen returns copies of all events of sales, until the connection is closed.
func listen(ch *amqp.Channel) (<-chan amqp.Delivery, error) {
	queue, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		return nil, err
	}
	for _, q := range event.Queues {
		for _, name := range q.Events {
			if err := ch.QueueBind(queue.Name, name, event.Exchange, false, nil); err != nil {
				return nil, err
			}
		}
	}
	return ch.Consume(queue.Name, "", true, true, false, false, nil)
}

// republish publishes a received event to the queue of its type itself, so that this process does
// not receive the copy.
func republish(ctx context.Context, ch *amqp.Channel, d amqp.Delivery) error {
	for _, q := range event.Queues {
		if !slices.Contains(q.Events, d.Type) {
			continue
		}
		err := ch.PublishWithContext(ctx, event.RedriveExchange, q.Name, false, false, amqp.Publishing{
			ContentType: d.ContentType, DeliveryMode: amqp.Persistent, MessageId: d.MessageId, Type: d.Type, CorrelationId: d.CorrelationId,
			Timestamp: d.Timestamp, Headers: d.Headers, Body: d.Body})
		if err != nil {
			return err
		}
	}
	return nil
}

// duplicate publishes each event ten times more, in another order.
func duplicate(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
	return receive(ctx, r, func(ch *amqp.Channel, batch []amqp.Delivery) error {
		random := rand.New(rand.NewPCG(f.Seed, 4))
		var all []amqp.Delivery
		for range copies {
			all = append(all, batch...)
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, d := range all {
			if err := republish(ctx, ch, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// record stores events that the round publishes again after all faults, in the opposite order.
func record(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	return receive(ctx, r, func(_ *amqp.Channel, batch []amqp.Delivery) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.recorded = append(r.recorded, batch[:min(len(batch), maxRecorded-len(r.recorded))]...)
		return nil
	})
}

// receiveInterval is the time in which events are collected before they are handled together.
const receiveInterval = 300 * time.Millisecond

// receive passes copies of events to handle.
func receive(ctx context.Context, r *round, handle func(*amqp.Channel, []amqp.Delivery) error) (func(context.Context) error, error) {
	ended := make(chan error, 1)
	stop, cancel := context.WithCancel(ctx)
	go func() {
		ended <- r.onChannel(stop, func(ch *amqp.Channel) error {
			deliveries, err := listen(ch)
			for err == nil && sleep(stop, receiveInterval) {
				var batch []amqp.Delivery
				for len(deliveries) > 0 || len(batch) == 0 {
					select {
					case d, ok := <-deliveries:
						if !ok {
							return amqp.ErrClosed
						}
						batch = append(batch, d)
					case <-stop.Done():
						return nil
					}
				}
				err = handle(ch, batch)
			}
			return err
		})
	}()
	return func(context.Context) error { cancel(); return <-ended }, nil
}

// oversized is above the limit of events, and of a statement of the database.
const oversized = 17 << 20

// impossibleSale is above the ids of all sales.
const impossibleSale = 9_000_000_000_000_000

// poison publishes messages that can never be handled: malformed, of an unknown version,
// oversized, and valid but impossible.
func poison(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
	return func(context.Context) error { return nil }, r.poison(ctx, f.Seed)
}

// envelope returns the body of an event of a sale that does not exist.
func envelope(version, kind string, sale uint64) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"%s","source":"/chaos","type":"%s","subject":"%d","time":"2026-01-01T00:00:00Z",`+
		`"datacontenttype":"application/json","dataversion":"%s","data":{"saleId":%[3]d,"customerId":1,"items":[{"productId":1,"quantity":1}],`+
		`"itemsReserved":[{"productId":1,"quantity":1,"price":"1.00"}]}}`, uuid.New(), kind, sale, version)
}

// poison publishes poison messages, and expects their dead letters.
func (r *round) poison(ctx context.Context, seed uint64) error {
	sale := impossibleSale + seed%1_000_000
	messages := []struct{ queue, kind, body string }{
		{event.StockQueue, event.SaleCreatedType, `{"specversion":"1.0"`},
		{event.SalesQueue, event.StockReleasedType, "\xff\xfe"},
		{event.StockQueue, event.SaleCreatedType, envelope("99", event.SaleCreatedType, sale)},
		{event.SalesQueue, event.StockCanceledType, strings.Repeat("x", oversized)},
		{event.StockQueue, event.SaleConfirmedType, envelope(event.DataVersion, event.SaleConfirmedType, sale)},
		{event.SalesQueue, event.SaleItemsReservedResponseType, envelope(event.DataVersion, event.SaleItemsReservedResponseType, sale)},
	}
	next := 0
	return r.onChannel(ctx, func(ch *amqp.Channel) error {
		for ; next < len(messages); next++ {
			m := messages[next]
			id := fmt.Sprintf("poison-%d-%d", seed, next)
			confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, event.RedriveExchange, m.queue, true, false, amqp.Publishing{
				ContentType: event.ContentType, DeliveryMode: amqp.Persistent, MessageId: id, Type: m.kind, Body: []byte(m.body)})
			if err != nil {
				return err
			}
			r.poisoned(id, false)
			waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
			acknowledged, err := confirm.WaitContext(waiting)
			cancel()
			switch {
			case err != nil:
				return fmt.Errorf("publish %s: %w", id, err)
			case acknowledged:
				r.poisoned(id, true)
			case ch.IsClosed():
				return amqp.ErrClosed
			}
		}
		return nil
	})
}
