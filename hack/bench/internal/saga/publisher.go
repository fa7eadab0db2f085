package saga

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// inFlight is the maximum number of unconfirmed messages of a publisher.
const inFlight = 1000

// publisher publishes messages without waiting for the confirm of the previous one.
type publisher struct {
	conn *amqp.Connection
	ch   *amqp.Channel
	mu   sync.Mutex // serializes publishes on the channel
	sent chan sent
	done chan struct{}
	err  error
}

type sent struct {
	message Message
	confirm *amqp.DeferredConfirmation
}

// newPublisher returns a publisher that calls confirmed, in order, with confirmed messages.
func newPublisher(url string, confirmed func(Message)) (*publisher, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	p := &publisher{conn: conn, ch: ch, sent: make(chan sent, inFlight), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for s := range p.sent {
			if !s.confirm.Wait() {
				p.err = fmt.Errorf("the broker rejected %s", s.message.Type)
				continue
			}
			confirmed(s.message)
		}
	}()
	return p, nil
}

func (p *publisher) publish(ctx context.Context, exchange string, key func(Message) string, messages ...Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range messages {
		c, err := p.ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key(m), true, false, properties(m))
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
	case <-p.done:
	case <-ctx.Done():
		_ = p.conn.Close() // Ends the wait for confirms.
		<-p.done
		return ctx.Err()
	}
	return firstError(p.err, p.conn.Close())
}
