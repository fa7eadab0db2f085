// Package invalidation receives events of changed products, through a queue of this
// process's own, and drops what the cache has of them. It reconnects for as long as it
// runs; the gateway never waits for it.
package invalidation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
)

// Cache is what events of changes are for.
type Cache interface {
	// SetConnected sets whether events of changes arrive from now on.
	SetConnected(connected bool)
	// Changed drops the responses about the item at a path.
	Changed(path string)
}

// Listener receives events of changes.
type Listener struct {
	URL   string
	Cache Cache
	Log   *slog.Logger
}

// Run receives until ctx ends.
func (l *Listener) Run(ctx context.Context) { broker.RunWithReconnect(ctx, l.Log, l.receive) }

// receive receives on one connection. Without one, responses are cached for a second only.
func (l *Listener) receive(ctx context.Context) error {
	conn, err := broker.Dial(l.URL, "gateway")
	if err != nil {
		return err
	}
	defer broker.CloseWithDeadline(conn)
	deliveries, err := subscribe(conn)
	if err != nil {
		return err
	}
	l.Cache.SetConnected(true)
	defer l.Cache.SetConnected(false)
	l.Log.InfoContext(ctx, "cache invalidation connected")
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("cache invalidation disconnected: the broker closed the connection")
			}
			l.handle(ctx, d)
		}
	}
}

// subscribe declares a queue that exists as long as the connection.
func subscribe(conn *amqp.Connection) (<-chan amqp.Delivery, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	name := event.GatewayQueuePrefix + strings.ToLower(rand.Text())
	const durable, autoDelete, exclusive, noWait, autoAck, noLocal = false, true, true, false, true, false
	if _, err := ch.QueueDeclare(name, durable, autoDelete, exclusive, noWait, nil); err != nil {
		return nil, fmt.Errorf("declare %s: %w", name, err)
	}
	if err := ch.QueueBind(name, event.ProductChangedType, event.Exchange, noWait, nil); err != nil {
		return nil, fmt.Errorf("bind %s: %w", name, err)
	}
	deliveries, err := ch.Consume(name, "", autoAck, exclusive, noLocal, noWait, nil)
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", name, err)
	}
	return deliveries, nil
}

// handle handles one event. If it cannot be read, anything may have changed.
func (l *Listener) handle(ctx context.Context, d amqp.Delivery) {
	e, err := event.Parse(d.Body)
	if err == nil {
		defer broker.TraceDelivery("gateway", d, e)()
		var changed event.ProductChanged
		if changed, err = event.Decode[event.ProductChanged](e); err == nil {
			l.Log.DebugContext(ctx, "product changed", "productId", changed.Key(), "eventId", e.ID)
			l.Cache.Changed(ProductPath(changed.Key()))
			return
		}
	}
	l.Log.WarnContext(ctx, "event could not be read; every cached response is dropped", "error", err)
	l.Cache.SetConnected(true)
}

// ProductPath returns the path of a product.
func ProductPath(id string) string { return "/products/" + id }
