// Package broker speaks AMQP 0-9-1 to RabbitMQ: a publisher that knows which
// events the broker has taken, and a consumer that works in batches and settles
// each delivery exactly when its effect is committed. Both reconnect by themselves
// for as long as their context lives; a service never waits for the broker to
// start.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
)

const (
	dialTimeout = 5 * time.Second
	heartbeat   = 5 * time.Second
	// closeTimeout bounds the wait for the broker's goodbye.
	closeTimeout = 2 * time.Second
	// reconnectMin and reconnectMax bound the pause between two attempts.
	reconnectMin = 100 * time.Millisecond
	reconnectMax = 3 * time.Second
)

// errClosed is reported when the broker ended a connection or channel without a
// reason.
var errClosed = errors.New("the broker closed the connection")

// Dial opens a connection that shows up under name in the management pages.
func Dial(url, name string) (*amqp.Connection, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	conn, err := amqp.DialConfig(url, amqp.Config{
		Heartbeat: heartbeat, Properties: properties,
		// Its deadline covers the handshake, too.
		Dial: amqp.DefaultDial(dialTimeout),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", redact(err))
	}
	return conn, nil
}

// CloseWithDeadline closes a connection without waiting long for the broker's answer: one that
// is short of memory or disk reads nothing from its publishers.
func CloseWithDeadline(conn *amqp.Connection) { _ = conn.CloseDeadline(time.Now().Add(closeTimeout)) }

// redact keeps a malformed address, which may hold a password, out of errors.
func redact(err error) error {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*amqp.Error](err); ok {
		return err
	}
	return errors.New("AMQP_URL is not of the form amqp://user:password@host:port/vhost, or the server speaks no AMQP")
}

// RunWithReconnect runs session again and again until ctx ends, with a growing, jittered
// pause after a session that failed early.
func RunWithReconnect(ctx context.Context, log *slog.Logger, session func(context.Context) error) {
	pause := reconnectMin
	for ctx.Err() == nil {
		began := time.Now()
		err := session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > reconnectMax {
			pause = reconnectMin
		}
		log.WarnContext(ctx, "broker connection lost, trying again", "error", err, "pause", pause.String())
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			return
		}
		pause = min(2*pause, reconnectMax)
	}
}

// sleep waits, and says whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Declare makes the topology in the virtual host of url, with an account that may:
// for tests and local runs. In a cluster the operator makes the same.
func Declare(url string) error {
	conn, err := Dial(url, "topology")
	if err != nil {
		return err
	}
	defer CloseWithDeadline(conn)
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	for name, kind := range event.Exchanges {
		if err := ch.ExchangeDeclare(name, kind, true, false, false, false, nil); err != nil {
			return fmt.Errorf("declare exchange %s: %w", name, err)
		}
	}
	for _, q := range event.Queues {
		if err := declareQueue(ch, q); err != nil {
			return err
		}
	}
	return nil
}

func declareQueue(ch *amqp.Channel, q event.Queue) error {
	for name, arguments := range map[string]amqp.Table{q.Name: q.Arguments(), q.DeadLetterQueue(): q.DeadLetterArguments()} {
		if _, err := ch.QueueDeclare(name, true, false, false, false, arguments); err != nil {
			return fmt.Errorf("declare queue %s: %w", name, err)
		}
	}
	for _, b := range q.Bindings() {
		if err := ch.QueueBind(b.Queue, b.Key, b.Exchange, false, nil); err != nil {
			return fmt.Errorf("bind %s to queue %s: %w", b.Key, b.Queue, err)
		}
	}
	return nil
}
