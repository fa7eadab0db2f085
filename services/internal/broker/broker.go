// Package broker implements a publisher and consumers for RabbitMQ (AMQP 0-9-1). The
// publisher reports which events the broker has confirmed. A consumer handles events in
// batches and acknowledges them after their effects are committed. All reconnect
// automatically, so that a service can start before the broker.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sethvargo/go-retry"

	"ecommerce-stack.dev/services/event"
)

const (
	dialTimeout = 5 * time.Second
	heartbeat   = 5 * time.Second
	// closeTimeout limits the wait for the broker's confirmation of a close.
	closeTimeout = 2 * time.Second
	// minReconnectBackoff and maxReconnectBackoff limit the time between two attempts to
	// connect.
	minReconnectBackoff = 100 * time.Millisecond
	maxReconnectBackoff = 3 * time.Second
)

// errClosed is the error for a connection or channel that was closed without a reason.
var errClosed = errors.New("the broker closed the connection")

// Dial opens a connection. The management UI shows it under name.
func Dial(url, name string) (*amqp.Connection, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	conn, err := amqp.DialConfig(url, amqp.Config{
		Heartbeat: heartbeat, Properties: properties,
		// The timeout includes the handshake.
		Dial: amqp.DefaultDial(dialTimeout),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", redact(err))
	}
	return conn, nil
}

// CloseWithDeadline closes a connection and waits at most 2 s for the broker's
// confirmation. A broker that is short of memory or disk space does not read from
// connections that publish.
func CloseWithDeadline(conn *amqp.Connection) { _ = conn.CloseDeadline(time.Now().Add(closeTimeout)) }

// redact replaces errors that may contain the URL, and with it the password.
func redact(err error) error {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*amqp.Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return err
	}
	return errors.New("AMQP_URL is not of the form amqp://user:password@host:port/vhost, or the server is not an AMQP server")
}

// RunWithReconnect calls session in a loop until ctx is done. Between two calls it waits
// for 100 ms to 3 s with jitter, longer after each session that failed soon.
func RunWithReconnect(ctx context.Context, log *slog.Logger, session func(context.Context) error) {
	backoff := newBackoff(minReconnectBackoff, maxReconnectBackoff)
	for ctx.Err() == nil {
		began := time.Now()
		err := session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxReconnectBackoff {
			backoff = newBackoff(minReconnectBackoff, maxReconnectBackoff)
		}
		wait, _ := backoff.Next()
		log.WarnContext(ctx, "broker connection lost, reconnecting", "error", err, "backoff", wait.String())
		if !sleep(ctx, wait) {
			return
		}
	}
}

// newBackoff returns a back-off that doubles from minimum to maximum, with a jitter of 50 %.
// It never stops.
func newBackoff(minimum, maximum time.Duration) retry.Backoff {
	return retry.WithJitterPercent(50, retry.WithCappedDuration(maximum, retry.NewExponential(minimum)))
}

// sleep waits for d. It reports false when ctx is done before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Declare declares the topology of package event in the virtual host of url, for tests
// and local runs. In a cluster the operator declares it.
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
	policies := q.Policies()
	for name, arguments := range map[string]amqp.Table{
		q.Name: policies[0].Arguments(q.Arguments()), q.DeadLetterQueue(): policies[1].Arguments(q.DeadLetterArguments()),
	} {
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
