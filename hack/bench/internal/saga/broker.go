package saga

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
)

// roundTrips is the queue of baseline B2.
const roundTrips = "bench.round-trips"

// Declare declares the exchange and the quorum queues of a stack in the virtual host of a
// URL, as the operator does, and a queue with the same settings for B2.
func Declare(url string) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.ExchangeDeclare(event.Exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare the exchange: %w", err)
	}
	for _, q := range append([]event.Queue{{Name: roundTrips}}, event.Queues...) {
		if _, err := ch.QueueDeclare(q.Name, true, false, false, false, q.Arguments()); err != nil {
			return fmt.Errorf("declare %s: %w", q.Name, err)
		}
		for _, name := range q.Events {
			if err := ch.QueueBind(q.Name, name, event.Exchange, false, nil); err != nil {
				return fmt.Errorf("bind %s: %w", q.Name, err)
			}
		}
	}
	return nil
}

// maxUnconfirmed is the maximum number of unconfirmed messages of a publisher.
const maxUnconfirmed = 1000

// publisher publishes messages without waiting for the confirm of the previous one.
type publisher struct {
	conn *amqp.Connection
	ch   *amqp.Channel
	mu   sync.Mutex // serializes publishes on the channel
	sent chan sent
	done chan error // receives one result after sent was closed
}

type sent struct {
	message message
	confirm *amqp.DeferredConfirmation
}

// newPublisher returns a publisher that calls confirmed, in order, with confirmed messages.
func newPublisher(url string, confirmed func(message)) (*publisher, error) {
	conn, ch, err := openChannel(url)
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	p := &publisher{conn: conn, ch: ch, sent: make(chan sent, maxUnconfirmed), done: make(chan error, 1)}
	go func() {
		var err error
		for s := range p.sent {
			if s.confirm.Wait() {
				confirmed(s.message)
			} else {
				err = fmt.Errorf("the broker rejected %s", s.message.Type)
			}
		}
		p.done <- err
	}()
	return p, nil
}

// openChannel opens a connection with a channel.
func openChannel(url string) (*amqp.Connection, *amqp.Channel, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the broker: %w", err)
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, ch, nil
}

// publish publishes messages, to the queue if it is not "", otherwise to the exchange, with
// the AMQP properties that the services set.
func (p *publisher) publish(ctx context.Context, queue string, messages ...message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range messages {
		exchange, key := event.Exchange, m.Type
		if queue != "" {
			exchange, key = "", queue
		}
		c, err := p.ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, amqp.Publishing{
			ContentType: event.ContentType, DeliveryMode: amqp.Persistent, MessageId: m.ID.String(), Type: m.Type,
			CorrelationId: m.Subject, Timestamp: m.Time, Body: m.body, Headers: amqp.Table{"traceparent": traceParent},
		})
		if err != nil {
			return fmt.Errorf("publish %s: %w", m.Type, err)
		}
		select {
		case p.sent <- sent{m, c}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// close waits for outstanding confirms, unless ctx is canceled, and closes the connection.
func (p *publisher) close(ctx context.Context) error {
	close(p.sent)
	select {
	case err := <-p.done:
		return errors.Join(err, p.conn.Close())
	case <-ctx.Done():
		_ = p.conn.Close() // Ends the wait for confirms.
		<-p.done
		return ctx.Err()
	}
}

// consume calls do with batches of at most limit messages of a queue until ctx is canceled,
// and acknowledges them together.
func consume(ctx context.Context, url, queue string, limit int, linger time.Duration, do func([]amqp.Delivery) error) error {
	conn, ch, err := openChannel(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := ch.Qos(2*limit, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume %s: %w", queue, err)
	}
	for {
		batch := collect(ctx, deliveries, limit, linger)
		switch {
		case ctx.Err() != nil:
			return nil
		case len(batch) == 0:
			return errors.New("the broker closed the connection")
		}
		if err := do(batch); err != nil {
			return err
		}
		if err := ch.Ack(batch[len(batch)-1].DeliveryTag, true); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
}

// collect waits for an item and returns it with others that are available or arrive within
// linger, at most limit. It returns none if ctx is canceled or the channel is closed.
func collect[T any](ctx context.Context, items <-chan T, limit int, linger time.Duration) []T {
	var batch []T
	var timeout <-chan time.Time // nil before the first item
	for len(batch) < limit {
		select {
		case item, ok := <-items:
			if !ok {
				return batch
			}
			batch = append(batch, item)
			continue
		default:
		}
		switch {
		case len(batch) > 0 && linger == 0:
			return batch
		case len(batch) > 0 && timeout == nil:
			timeout = time.After(linger)
		}
		select {
		case item, ok := <-items:
			if !ok {
				return batch
			}
			batch = append(batch, item)
		case <-timeout:
			return batch
		case <-ctx.Done():
			return nil
		}
	}
	return batch
}
