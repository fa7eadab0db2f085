// Package invalidation hears of changed products, through a queue of this process's
// own, and tells the cache. It connects again by itself for as long as it runs; the
// gateway never waits for it.
package invalidation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
)

// Cache is what is told.
type Cache interface {
	// SetConnected sets whether events of changes arrive from now on.
	SetConnected(connected bool)
	// Changed drops the responses about the item at a path.
	Changed(path string)
}

const (
	dialTimeout = 5 * time.Second
	heartbeat   = 5 * time.Second
	pauseMin    = 100 * time.Millisecond
	pauseMax    = 3 * time.Second
)

// Listener hears of changes.
type Listener struct {
	URL   string
	Cache Cache
	Log   *slog.Logger
}

// Run listens until ctx ends.
func (l *Listener) Run(ctx context.Context) {
	pause := pauseMin
	for ctx.Err() == nil {
		heard, err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			pause = pauseMin
		}
		l.Log.WarnContext(ctx, "cache invalidation disconnected; responses are cached for a second only", "error", err, "pause", pause.String())
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + mathrand.N(pause/2)):
		}
		pause = min(2*pause, pauseMax)
	}
}

// listen is one connection; heard is true if it was there for a while.
func (l *Listener) listen(ctx context.Context) (heard bool, err error) {
	conn, err := dial(l.URL)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	deliveries, err := subscribe(conn)
	if err != nil {
		return false, err
	}
	l.Cache.SetConnected(true)
	defer l.Cache.SetConnected(false)
	l.Log.InfoContext(ctx, "cache invalidation connected")
	for {
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case d, ok := <-deliveries:
			if !ok {
				return true, errors.New("the broker ended the connection")
			}
			l.handle(ctx, d.Body)
		}
	}
}

func dial(url string) (*amqp.Connection, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("gateway")
	conn, err := amqp.DialConfig(url, amqp.Config{
		Heartbeat: heartbeat, Properties: properties, Dial: amqp.DefaultDial(dialTimeout),
	})
	if err == nil {
		return conn, nil
	}
	if _, parseErr := amqp.ParseURI(url); parseErr != nil {
		return nil, errors.New("AMQP_URL is not of the form amqp://user:password@host:port/vhost") // the error may show the password
	}
	return nil, fmt.Errorf("connect to the broker: %w", err)
}

// subscribe makes a queue that lives as long as the connection.
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

// handle tells the cache of one event. When it cannot be read, anything may have
// changed.
func (l *Listener) handle(ctx context.Context, body []byte) {
	e, err := event.Parse(body)
	if err == nil {
		var changed event.ProductChanged
		if changed, err = event.Decode[event.ProductChanged](e); err == nil {
			l.Cache.Changed(ProductPath(changed.Key()))
			return
		}
	}
	l.Log.WarnContext(ctx, "event could not be read; every cached response is dropped", "error", err)
	l.Cache.SetConnected(true)
}

// ProductPath is where a product is read.
func ProductPath(id string) string { return "/products/" + id }
