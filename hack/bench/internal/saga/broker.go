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

// roundTrips is the queue of baseline B2, and its routing key.
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
	for _, q := range append([]event.Queue{{Name: roundTrips, Events: []string{roundTrips}}}, event.Queues...) {
		if _, err := ch.QueueDeclare(q.Name, true, false, false, false, q.Policies()[0].Arguments(q.Arguments())); err != nil {
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
	conn *amqp.Connection // nil if messages are not sent
	ch   *amqp.Channel
	mu   sync.Mutex // serializes publishes on the channel
	sent chan sent
	done chan error // receives one result after sent was closed
}

type sent struct {
	message message
	confirm *amqp.DeferredConfirmation
}

// newPublisher returns a publisher that calls confirmed, in order, with batches of at most limit
// messages that were confirmed within an interval. Without a URL it does not send the messages.
func newPublisher(url string, limit int, interval time.Duration, confirmed func([]sent) error) (*publisher, error) {
	p := &publisher{sent: make(chan sent, maxUnconfirmed), done: make(chan error, 1)}
	if url != "" {
		var err error
		if p.conn, p.ch, err = openChannel(url); err != nil {
			return nil, err
		}
		if err := p.ch.Confirm(false); err != nil {
			return nil, errors.Join(err, p.conn.Close())
		}
	}
	go func() {
		var err error
		for {
			batch := collect(context.Background(), p.sent, limit, interval)
			if len(batch) == 0 {
				p.done <- err
				return
			}
			for _, s := range batch {
				if s.confirm != nil && !s.confirm.Wait() {
					err = fmt.Errorf("the broker rejected %s", s.message.Type)
				}
			}
			err = errors.Join(err, confirmed(batch))
		}
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

// publish publishes messages with the AMQP properties that the services set.
func (p *publisher) publish(ctx context.Context, messages ...message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range messages {
		published := sent{message: m}
		if p.conn != nil {
			var err error
			published.confirm, err = p.ch.PublishWithDeferredConfirmWithContext(ctx, event.Exchange, m.Type, true, false, amqp.Publishing{
				ContentType: event.ContentType, DeliveryMode: amqp.Persistent, MessageId: m.ID.String(), Type: m.Type,
				CorrelationId: m.Subject, Timestamp: m.Time, Body: m.body, Headers: amqp.Table{"traceparent": traceParent},
			})
			if err != nil {
				return fmt.Errorf("publish %s: %w", m.Type, err)
			}
		}
		select {
		case p.sent <- published:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// close waits for outstanding confirms, unless ctx is canceled, and closes the connection.
func (p *publisher) close(ctx context.Context) error {
	close(p.sent)
	if p.conn == nil {
		return <-p.done
	}
	stop := context.AfterFunc(ctx, func() { _ = p.conn.Close() }) // It ends the wait for confirms.
	defer stop()
	err := <-p.done
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, p.conn.Close())
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

// soon is a linger time in which items that are already available arrive.
const soon = 100 * time.Microsecond

// collect waits for an item and returns it with others that arrive within linger, at most limit.
// It returns none if ctx is canceled or the channel is closed.
func collect[T any](ctx context.Context, items <-chan T, limit int, linger time.Duration) (batch []T) {
	var timeout <-chan time.Time // nil before the first item
	for len(batch) < limit {
		select {
		case item, ok := <-items:
			if !ok {
				return batch
			}
			if batch = append(batch, item); timeout == nil {
				timeout = time.After(linger)
			}
		case <-timeout:
			return batch
		case <-ctx.Done():
			return nil
		}
	}
	return batch
}
