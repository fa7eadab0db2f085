package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
)

// Collector takes dead letters out of their queues and gives them to Keep, which
// makes them lasting: a queue cannot be looked through without counting against its
// delivery limit, nor has a message in it a name to call it by. Keep may be given a
// letter again.
type Collector struct {
	URL, Name string
	Keep      func(context.Context, event.DeadLetter) error
	// Unavailable says that an error is a dependency's and will pass.
	Unavailable func(error) bool
	Log         *slog.Logger
}

// keepTimeout bounds one call of Keep.
const keepTimeout = 30 * time.Second

// held is how many letters may wait unacknowledged: those that Keep cannot take stay
// in their queue and must not stand in the way of others.
const held = 1000

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) { RunWithReconnect(ctx, c.Log, c.session) }

// session collects over one connection until ctx ends or the connection breaks.
func (c *Collector) session(ctx context.Context) error {
	conn, err := Dial(c.URL, c.Name)
	if err != nil {
		return err
	}
	defer CloseWithDeadline(conn)
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if err := ch.Qos(held, 0, false); err != nil {
		return fmt.Errorf("set the prefetch count: %w", err)
	}
	ended := make(chan error, len(event.Queues))
	for _, q := range event.Queues {
		deliveries, err := ch.Consume(q.DeadLetterQueue(), c.Name+" "+q.DeadLetterQueue(), false, false, false, false, nil)
		if err != nil {
			return fmt.Errorf("consume %s: %w", q.DeadLetterQueue(), err)
		}
		go func() { ended <- c.collect(ctx, q.Name, deliveries) }()
	}
	return <-ended // The end of the connection ends the others, too.
}

func (c *Collector) collect(ctx context.Context, queue string, deliveries <-chan amqp.Delivery) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d, ok := <-deliveries:
			if !ok {
				return errClosed
			}
			if err := c.take(ctx, letterOf(queue, d)); err != nil {
				c.Log.ErrorContext(ctx, "a dead letter stays in its queue", "queue", queue, "id", d.MessageId, "error", err)
				continue
			}
			if err := d.Ack(false); err != nil {
				return fmt.Errorf("acknowledge: %w", err)
			}
		}
	}
}

// take gives a letter to Keep, and waits while a dependency is away.
func (c *Collector) take(ctx context.Context, l event.DeadLetter) error {
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		err := c.keep(ctx, l)
		if err == nil || c.Unavailable == nil || !c.Unavailable(err) {
			return err
		}
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			return ctx.Err()
		}
	}
}

func (c *Collector) keep(ctx context.Context, l event.DeadLetter) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	return c.Keep(ctx, l)
}

// letterOf reads a delivery. Why and when it died is in the first table of x-death:
// https://www.rabbitmq.com/docs/dlx#effects
func letterOf(queue string, d amqp.Delivery) event.DeadLetter {
	l := event.DeadLetter{Queue: queue, Reason: "unknown", DiedAt: d.Timestamp, MessageID: d.MessageId, Type: d.Type,
		Correlation: d.CorrelationId, ContentType: d.ContentType, Body: d.Body}
	l.TraceParent, _ = d.Headers["traceparent"].(string)
	deaths, _ := d.Headers["x-death"].([]any)
	if len(deaths) > 0 {
		if death, ok := deaths[0].(amqp.Table); ok {
			if reason, ok := death["reason"].(string); ok {
				l.Reason = reason
			}
			if at, ok := death["time"].(time.Time); ok {
				l.DiedAt = at
			}
		}
	}
	if l.DiedAt.IsZero() {
		l.DiedAt = time.Now() // Somebody put it into the queue, not the broker.
	}
	return l
}

// Redrive sends a letter to the queue it was refused from and waits for the broker's
// confirm. An error leaves open whether it was sent; the consumers' inbox makes a
// second time harmless.
func (p *Publisher) Redrive(ctx context.Context, l event.DeadLetter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.connect(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	headers := amqp.Table{}
	if l.TraceParent != "" {
		headers["traceparent"] = l.TraceParent
	}
	confirm, err := p.ch.PublishWithDeferredConfirmWithContext(ctx, event.RedriveExchange, l.Queue, true, false, amqp.Publishing{
		ContentType: l.ContentType, DeliveryMode: amqp.Persistent, MessageId: l.MessageID, Type: l.Type,
		CorrelationId: l.Correlation, Timestamp: time.Now(), Headers: headers, Body: l.Body,
	})
	var acked bool
	if err == nil {
		acked, err = confirm.WaitContext(ctx)
	}
	if err != nil || !acked {
		p.disconnect()
		return errors.Join(fmt.Errorf("redrive a message to %s: not confirmed", l.Queue), err)
	}
	select {
	case <-p.returns:
		return fmt.Errorf("redrive a message to %s: %w", l.Queue, ErrUnroutable)
	default:
		return nil
	}
}
