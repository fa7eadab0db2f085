package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sethvargo/go-retry"

	"ecommerce-stack.dev/services/event"
)

// DeadLetterCollector moves messages from the dead-letter queues to a database. In a queue
// they could not be listed without counting deliveries against the delivery limit, and
// would have no id.
type DeadLetterCollector struct {
	// URL is the address of the broker, Name the name of the connection.
	URL, Name string
	// Store stores a dead letter. It may be called more than once for the same one.
	Store func(context.Context, event.DeadLetter) error
	// IsTransient reports whether an error of Store is temporary. Store is then retried.
	IsTransient func(error) bool
	Log         *slog.Logger
}

// storeTimeout is the timeout of one call of Store.
const storeTimeout = 30 * time.Second

// maxUnacknowledged is the prefetch count of a queue. Messages that cannot be stored remain
// unacknowledged, and must not block others.
const maxUnacknowledged = 1000

// maxHeaders is the maximum size of the headers of a dead letter, as JSON.
const maxHeaders = 16 << 10

// Run collects dead letters until ctx is done.
func (c *DeadLetterCollector) Run(ctx context.Context) { RunWithReconnect(ctx, c.Log, c.session) }

// session collects over one connection until ctx is done or the connection is lost.
func (c *DeadLetterCollector) session(ctx context.Context) error {
	conn, err := Dial(c.URL, c.Name)
	if err != nil {
		return err
	}
	defer CloseWithDeadline(conn)
	ended := make(chan error, len(event.Queues))
	for _, q := range event.Queues {
		s := &subscription{conn: conn, queue: q.DeadLetterQueue(), tag: c.Name + " " + q.DeadLetterQueue(), prefetch: maxUnacknowledged}
		if err := s.open(); err != nil {
			return err
		}
		go func() { ended <- c.collect(ctx, q.Name, s) }()
	}
	return <-ended // Closing the connection ends the other goroutines.
}

func (c *DeadLetterCollector) collect(ctx context.Context, queue string, s *subscription) error {
	failed := false
	for {
		d, ok, err := s.next(ctx, func() bool { return failed })
		if !ok {
			return err
		}
		if err := c.storeWithRetry(ctx, newDeadLetter(queue, d)); err != nil {
			c.Log.ErrorContext(ctx, "storing a dead letter failed, it stays in its queue", "queue", queue, "messageId", d.MessageId, "error", err)
			failed = true
			continue
		}
		if err := d.Ack(false); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
}

// storeWithRetry stores a dead letter, and retries after transient errors.
func (c *DeadLetterCollector) storeWithRetry(ctx context.Context, l event.DeadLetter) error {
	return retry.Do(ctx, newBackoff(minRetryBackoff, maxRetryBackoff), func(ctx context.Context) error {
		err := c.store(ctx, l)
		if c.IsTransient != nil && c.IsTransient(err) {
			return retry.RetryableError(err)
		}
		return err
	})
}

func (c *DeadLetterCollector) store(ctx context.Context, l event.DeadLetter) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return c.Store(ctx, l)
}

// newDeadLetter returns the dead letter of a delivery. The first table of the header
// x-death has the reason and the time: https://www.rabbitmq.com/docs/dlx#effects
func newDeadLetter(queue string, d amqp.Delivery) event.DeadLetter {
	l := event.DeadLetter{Queue: queue, Reason: "unknown", DiedAt: d.Timestamp, MessageID: d.MessageId, Type: d.Type,
		Correlation: d.CorrelationId, ContentType: d.ContentType, Body: d.Body}
	l.TraceParent, _ = d.Headers[traceHeader].(string)
	if headers, err := json.Marshal(d.Headers); err == nil && len(headers) <= maxHeaders {
		l.Headers = headers
	}
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
		l.DiedAt = time.Now() // It was published to the queue by something other than the broker.
	}
	return l
}

// Redrive publishes a dead letter to the queue from which it was rejected and waits for
// the broker's confirmation. It returns ErrUnroutable when the queue does not exist. After
// any other error the message may have been published; a second delivery is harmless,
// because events may be redelivered.
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
		headers[traceHeader] = l.TraceParent
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
