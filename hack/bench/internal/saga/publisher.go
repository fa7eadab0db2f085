package saga

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// inFlight bounds the messages of a publisher that wait for their confirm.
const inFlight = 1000

// publisher sends messages with many confirms in flight; it never waits for one
// before it sends the next.
type publisher struct {
	conn *amqp.Connection
	ch   *amqp.Channel
	mu   sync.Mutex // an AMQP channel takes one publisher at a time
	sent chan sent
	done chan struct{}
	err  error
}

type sent struct {
	message Message
	confirm *amqp.DeferredConfirmation
}

// newPublisher publishes to a server and calls confirmed, in order, with what it took.
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
				p.err = fmt.Errorf("the broker refused %s", s.message.Type)
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

// close waits for the confirms of what was sent, unless the run was ended.
func (p *publisher) close(ctx context.Context) error {
	close(p.sent)
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.conn.Close() // Lets the confirms go.
		<-p.done
		return ctx.Err()
	}
	return firstOf(p.err, p.conn.Close())
}
