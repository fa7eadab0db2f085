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

// MaxBatch is how many messages Publish takes at once.
const MaxBatch = 512

// confirmTimeout bounds the wait for the broker's confirms of one batch; quorum
// queues confirm when a majority has written.
const confirmTimeout = 10 * time.Second

// Message is an event encoded for the wire.
type Message struct {
	ID          uuid.UUID
	Type        string
	Correlation string
	TraceParent string
	Time        time.Time
	Body        []byte
}

// Encode makes the message of an event.
func Encode(e event.Envelope) (Message, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return Message{}, fmt.Errorf("encode %s: %w", e.Type, err)
	}
	if len(body) > event.MaxBytes {
		return Message{}, fmt.Errorf("encode %s: %d bytes, a message has at most %d", e.Type, len(body), event.MaxBytes)
	}
	return Message{ID: e.ID, Type: e.Type, Correlation: e.Subject, TraceParent: e.TraceParent, Time: e.Time, Body: body}, nil
}

// ErrUnroutable says that the broker has no queue for a message: the topology is
// missing or incomplete.
var ErrUnroutable = errors.New("the broker has no queue for it")

// Publisher publishes events persistently, mandatory where a queue must take them,
// and waits for the broker's confirms. It connects when it is first used and again
// after a failure. It is safe for concurrent use; calls take turns.
type Publisher struct {
	url, name string

	mu      sync.Mutex
	conn    *amqp.Connection
	ch      *amqp.Channel
	returns chan amqp.Return
}

// NewPublisher returns a publisher whose connections carry the given name.
func NewPublisher(url, name string) *Publisher { return &Publisher{url: url, name: name} }

// Publish sends up to MaxBatch messages and returns those that the broker has
// taken responsibility for. The error says why others are missing; they may have
// been taken all the same, so whoever sends them again relies on the consumers'
// inbox. It is ErrUnroutable when nothing but that went wrong.
func (p *Publisher) Publish(ctx context.Context, batch []Message) ([]Message, error) {
	if len(batch) > MaxBatch {
		return nil, fmt.Errorf("publish %d messages: at most %d at once", len(batch), MaxBatch)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.connect(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	confirms, sendErr := p.send(ctx, batch)
	taken := make([]Message, 0, len(batch))
	var confirmErr error
	for i, c := range confirms {
		if c == nil {
			continue
		}
		acked, err := c.WaitContext(ctx)
		switch {
		case err != nil:
			confirmErr = fmt.Errorf("wait for the broker's confirm: %w", err)
		case acked:
			taken = append(taken, batch[i])
		default:
			confirmErr = errors.New("the broker refused a message, or the connection broke before it confirmed")
		}
	}
	taken, returnErr := p.dropReturned(taken)
	if err := errors.Join(sendErr, confirmErr); err != nil {
		p.disconnect()
		return taken, err
	}
	return taken, returnErr
}

// send writes the batch; a confirm is nil from the first message that failed on.
func (p *Publisher) send(ctx context.Context, batch []Message) ([]*amqp.DeferredConfirmation, error) {
	confirms := make([]*amqp.DeferredConfirmation, len(batch))
	for i, m := range batch {
		headers := amqp.Table{}
		if m.TraceParent != "" {
			headers["traceparent"] = m.TraceParent
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

// dropReturned takes out the messages that came back: the broker returns an
// unroutable message before it confirms it.
func (p *Publisher) dropReturned(taken []Message) ([]Message, error) {
	var err error
	for {
		select {
		case r, ok := <-p.returns:
			if !ok {
				return taken, err
			}
			err = fmt.Errorf("%s: %w", r.Type, ErrUnroutable)
			for i, m := range taken {
				if m.ID.String() == r.MessageId {
					taken = append(taken[:i], taken[i+1:]...)
					break
				}
			}
		default:
			return taken, err
		}
	}
}

// Ping connects when there is no connection. While a batch is being published it
// does not wait, but takes that for a sign of life: its outcome is logged by whoever
// publishes.
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
	// A full batch may come back before anybody reads.
	p.returns = ch.NotifyReturn(make(chan amqp.Return, MaxBatch))
	return nil
}

func (p *Publisher) disconnect() {
	if p.conn != nil {
		CloseWithDeadline(p.conn)
	}
	p.conn, p.ch, p.returns = nil, nil, nil
}

// Close ends the connection.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disconnect()
}
