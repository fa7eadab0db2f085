package broker

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// renewAfter is the time without a delivery after which a subscription is renewed.
const renewAfter = 10 * time.Second

// subscription receives the messages of a queue over a channel of its own.
//
// RabbitMQ cancels the consumers of a queue that is deleted. But for a quorum queue that is
// deleted while a message is acknowledged it sends no cancellation (seen with 3.10.8), and the
// channel receives nothing from a queue that is declared again under that name, even for a new
// consumer. So a subscription without deliveries is renewed with another channel.
type subscription struct {
	conn       *amqp.Connection
	queue, tag string
	prefetch   int // the maximum number of messages that are not acknowledged
	ch         *amqp.Channel
	deliveries <-chan amqp.Delivery
}

// open opens the channel and subscribes to the queue.
func (s *subscription) open() error {
	var err error
	if s.ch, err = s.conn.Channel(); err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if err = s.ch.Qos(s.prefetch, 0, false); err != nil {
		return fmt.Errorf("set the prefetch count: %w", err)
	}
	if s.deliveries, err = s.ch.Consume(s.queue, s.tag, false, false, false, false, nil); err != nil {
		return fmt.Errorf("consume %s: %w", s.queue, err)
	}
	return nil
}

// next waits for a delivery. It reports false when ctx is done before. It does not renew the
// subscription while unfinished returns true: messages that are not acknowledged would be
// delivered again, which counts for the delivery limit.
func (s *subscription) next(ctx context.Context, unfinished func() bool) (amqp.Delivery, bool, error) {
	idle := time.NewTicker(renewAfter)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return amqp.Delivery{}, false, nil
		case d, ok := <-s.deliveries:
			if !ok {
				return d, false, errClosed
			}
			return d, true, nil
		case <-idle.C:
			if unfinished() {
				continue
			}
			if err := s.ch.Close(); err != nil {
				return amqp.Delivery{}, false, fmt.Errorf("close the channel of %s: %w", s.queue, err)
			}
			if err := s.open(); err != nil {
				return amqp.Delivery{}, false, err
			}
		}
	}
}
