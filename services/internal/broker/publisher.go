package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
)

// MaxBatch is the maximum number of messages in a call of Publish.
const MaxBatch = 512

// confirmTimeout is the timeout for the broker's confirmations of one batch. A quorum
// queue confirms a message when a majority of its replicas has written it.
const confirmTimeout = 10 * time.Second

// Message is an encoded event with its AMQP properties.
type Message struct {
	ID          uuid.UUID
	Type        string
	Correlation string
	TraceParent string
	Time        time.Time
	Body        []byte
}

// Encode returns the message of an event. It returns an error when the encoded event is
// larger than event.MaxBytes.
func Encode(e event.Envelope) (Message, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return Message{}, fmt.Errorf("encode %s: %w", e.Type, err)
	}
	if len(body) > event.MaxBytes {
		return Message{}, fmt.Errorf("encode %s: %d bytes exceed the limit of %d", e.Type, len(body), event.MaxBytes)
	}
	return Message{ID: e.ID, Type: e.Type, Correlation: e.Subject, TraceParent: e.TraceParent, Time: e.Time, Body: body}, nil
}

// ErrUnroutable is wrapped by the error for a message that the broker has no queue for:
// the topology is missing or incomplete.
var ErrUnroutable = errors.New("no queue for the message")

// Publisher publishes persistent events and waits for the broker's confirmations. It
// connects when it is first used, and again after a failure. It is safe for concurrent
// use; calls are serialized.
type Publisher struct {
	url, name string

	mu      sync.Mutex
	conn    *amqp.Connection
	ch      *amqp.Channel
	returns chan amqp.Return
}

// NewPublisher returns a Publisher whose connections have the given name.
func NewPublisher(url, name string) *Publisher { return &Publisher{url: url, name: name} }

// Publish publishes up to MaxBatch messages and returns those that the broker has
// confirmed. When some are missing, it returns an error, too. The broker may have accepted
// these nevertheless, so consumers must accept a message that is published again. The error
// wraps ErrUnroutable if all missing messages were unroutable.
func (p *Publisher) Publish(ctx context.Context, batch []Message) ([]Message, error) {
	if len(batch) > MaxBatch {
		return nil, fmt.Errorf("publish %d messages: the limit is %d", len(batch), MaxBatch)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.connect(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	confirms, sendErr := p.send(ctx, batch)
	confirmed := make([]Message, 0, len(batch))
	var confirmErr error
	for i, c := range confirms {
		if c == nil {
			continue
		}
		acked, err := c.WaitContext(ctx)
		switch {
		case err != nil:
			confirmErr = fmt.Errorf("wait for the broker's confirmation: %w", err)
		case acked:
			confirmed = append(confirmed, batch[i])
		default:
			confirmErr = errors.New("the broker rejected a message, or the connection was lost before its confirmation")
		}
	}
	confirmed, returnErr := p.removeReturned(confirmed)
	if err := errors.Join(sendErr, confirmErr); err != nil {
		p.disconnect()
		return confirmed, err
	}
	return confirmed, returnErr
}

// send writes the batch. From the first message that fails, the confirmations are nil.
func (p *Publisher) send(ctx context.Context, batch []Message) ([]*amqp.DeferredConfirmation, error) {
	confirms := make([]*amqp.DeferredConfirmation, len(batch))
	for i, m := range batch {
		headers := amqp.Table{}
		if m.TraceParent != "" {
			headers[traceHeader] = m.TraceParent
		}
		c, err := p.ch.PublishWithDeferredConfirmWithContext(ctx, event.Exchange, m.Type, event.IsRouted(m.Type), false,
			amqp.Publishing{
				ContentType: event.ContentType, DeliveryMode: amqp.Persistent, MessageId: m.ID.String(),
				Type: m.Type, CorrelationId: m.Correlation, Timestamp: m.Time, Headers: headers, Body: m.Body,
			})
		if err != nil {
			return confirms, fmt.Errorf("publish %s: %w", m.Type, err)
		}
		confirms[i] = c
	}
	return confirms, nil
}

// removeReturned removes the messages that the broker has returned. The broker returns an
// unroutable message before it confirms it.
func (p *Publisher) removeReturned(confirmed []Message) ([]Message, error) {
	var err error
	for {
		select {
		case r, ok := <-p.returns:
			if !ok {
				return confirmed, err
			}
			err = fmt.Errorf("%s: %w", r.Type, ErrUnroutable)
			for i, m := range confirmed {
				if m.ID.String() == r.MessageId {
					confirmed = append(confirmed[:i], confirmed[i+1:]...)
					break
				}
			}
		default:
			return confirmed, err
		}
	}
}

// Waiting returns the number of messages in a queue that are not delivered to a consumer.
func (p *Publisher) Waiting(_ context.Context, queue string) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.connect(); err != nil {
		return 0, err
	}
	// The broker closes the channel of a queue that does not exist.
	ch, err := p.conn.Channel()
	if err != nil {
		return 0, fmt.Errorf("open a channel: %w", err)
	}
	defer func() { _ = ch.Close() }()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		return 0, fmt.Errorf("count the messages of %s: %w", queue, err)
	}
	return q.Messages, nil
}

// Ping returns an error when the broker cannot be reached. While a batch is being
// published it returns nil at once; the caller of Publish receives the error.
func (p *Publisher) Ping(context.Context) error {
	if !p.mu.TryLock() {
		return nil
	}
	defer p.mu.Unlock()
	return p.connect()
}

func (p *Publisher) connect() error {
	if p.ch != nil && !p.ch.IsClosed() && !p.conn.IsClosed() {
		return nil
	}
	p.disconnect()
	conn, err := Dial(p.url, p.name)
	if err != nil {
		return err
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("open a publishing channel: %w", err)
	}
	p.conn, p.ch = conn, ch
	// All messages of a batch may be returned before they are read.
	p.returns = ch.NotifyReturn(make(chan amqp.Return, MaxBatch))
	return nil
}

func (p *Publisher) disconnect() {
	if p.conn != nil {
		CloseWithDeadline(p.conn)
	}
	p.conn, p.ch, p.returns = nil, nil, nil
}

// Close closes the connection.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disconnect()
}
