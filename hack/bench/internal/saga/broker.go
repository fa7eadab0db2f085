package saga

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/services/event"
)

// Broker is baseline B2: it publishes, confirms, consumes and acknowledges messages with the
// body of a SaleCreated through a quorum queue like those of the services.
type Broker struct {
	Environment Environment
	// InFlight is the number of messages in flight.
	InFlight int
}

// Name implements measure.Measurement.
func (m Broker) Name() string { return fmt.Sprintf("broker/in-flight-%d", m.InFlight) }

// About implements measure.Measurement.
func (m Broker) About() string {
	return fmt.Sprintf("B2: publish, confirm, consume and acknowledge through a quorum queue, %d in flight", m.InFlight)
}

// Measure implements measure.Measurement.
func (m Broker) Measure(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	// A message takes two slots: one until it is confirmed, one until it is acknowledged.
	slots := make(chan struct{}, 2*m.InFlight)
	p, err := newPublisher(m.Environment.AMQP, func(Message) { slots <- struct{}{} })
	if err != nil {
		return nil, err
	}
	var acknowledged atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	consuming, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error {
		return consumeQueue(consuming, m.Environment.AMQP, roundTrips, m.InFlight, func(n int) {
			acknowledged.Add(int64(n))
			for range n {
				slots <- struct{}{}
			}
		})
	})
	began := time.Now()
	group.Go(func() error {
		defer stop()
		return errors.Join(m.publish(ctx, p, began, d, slots), p.close(ctx))
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	rate := float64(acknowledged.Load()) / time.Since(began).Seconds()
	return []measure.Figure{{Name: "messages", Unit: "/s", Value: rate}, {Name: "orders", Unit: "/s of 4 messages", Value: rate / 4}}, nil
}

func (m Broker) publish(ctx context.Context, p *publisher, began time.Time, d time.Duration, slots chan struct{}) error {
	for range 2 * m.InFlight {
		slots <- struct{}{}
	}
	receive := func() error {
		for range 2 {
			select {
			case <-slots:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	key := func(Message) string { return roundTrips }
	for n := int64(1); time.Since(began) < d; n++ {
		if err := receive(); err != nil {
			return err
		}
		message, err := newMessage("sales", event.SaleCreated{SaleID: n, CustomerID: n, Items: []event.Item{{ProductID: 1 + n%1000, Quantity: 1}}}, now())
		if err != nil {
			return err
		}
		if err := p.publish(ctx, "", key, message); err != nil {
			return err
		}
	}
	for range m.InFlight { // Wait for all messages in flight.
		if err := receive(); err != nil {
			return err
		}
	}
	return nil
}

// consumeQueue consumes messages until ctx is canceled, acknowledges all available ones
// together, and calls done with their number.
func consumeQueue(ctx context.Context, url, queue string, prefetch int, done func(n int)) error {
	conn, ch, deliveries, err := subscribe(url, queue, prefetch)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		batch, err := receive(ctx, deliveries, prefetch, 0)
		if err != nil || len(batch) == 0 {
			return err
		}
		if err := ch.Ack(batch[len(batch)-1].DeliveryTag, true); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		done(len(batch))
	}
}

func subscribe(url, queue string, prefetch int) (*amqp.Connection, *amqp.Channel, <-chan amqp.Delivery, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("connect to the broker: %w", err)
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Qos(prefetch, 0, false)
	}
	var deliveries <-chan amqp.Delivery
	if err == nil {
		deliveries, err = ch.Consume(queue, "", false, false, false, false, nil)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("consume %s: %w", queue, err), conn.Close())
	}
	return conn, ch, deliveries, nil
}

// receive waits for a delivery and returns up to limit deliveries that are available or
// arrive within linger. It returns none if ctx is canceled.
func receive(ctx context.Context, deliveries <-chan amqp.Delivery, limit int, linger time.Duration) ([]amqp.Delivery, error) {
	var batch []amqp.Delivery
	select {
	case <-ctx.Done():
		return nil, nil
	case d, ok := <-deliveries:
		if !ok {
			return nil, errors.New("the broker closed the connection")
		}
		batch = append(batch, d)
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(batch) < limit {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return nil, errors.New("the broker closed the connection")
			}
			batch = append(batch, d)
			continue
		default:
		}
		if linger == 0 {
			return batch, nil
		}
		select {
		case d, ok := <-deliveries:
			if !ok {
				return nil, errors.New("the broker closed the connection")
			}
			batch = append(batch, d)
		case <-timer.C:
			return batch, nil
		}
	}
	return batch, nil
}
