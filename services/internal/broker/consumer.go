package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
)

// Handler applies a batch of events, all or none, and may be given one again.
type Handler interface {
	Handle(ctx context.Context, batch []event.Envelope) error
}

// ErrPoison is wrapped by a handler's error when a message of the batch can never
// be handled, however often it is tried.
var ErrPoison = errors.New("can never be handled")

// Settings of a consumer.
type Settings struct {
	URL  string
	Name string // of the connection, and the consumer's tag
	// Queue to consume.
	Queue string
	// MaxBatch events go to the handler at once (default 256); a batch that is
	// not full is handed over after Linger (default 2 ms).
	MaxBatch int
	Linger   time.Duration
	// Unavailable says that an error is a dependency's and will pass: the batch
	// waits and is tried again.
	Unavailable func(error) bool
	// HandleTimeout bounds one call of the handler (default 30 s).
	HandleTimeout time.Duration
	// Attempts of a message that fails alone with an unknown error, before it is
	// dead-lettered (default 5).
	Attempts int
}

// Pauses between attempts while a dependency is away.
const (
	retryMin = 50 * time.Millisecond
	retryMax = 2 * time.Second
)

// Consumer hands the events of a queue to a handler in batches.
//
// It acknowledges what the handler committed, all of a batch at once. It waits in
// place while a dependency is away, so that the delivery limit counts only
// crashes. A batch that fails otherwise is split until the poison message stands
// alone and is dead-lettered; its neighbours are not held up.
type Consumer struct {
	settings Settings
	handler  Handler
	log      *slog.Logger
	metrics  consumerMetrics
}

type consumerMetrics struct {
	handled, dead prometheus.Counter
	batch         prometheus.Histogram
}

// NewConsumer returns a consumer; Run starts it.
func NewConsumer(s Settings, h Handler, log *slog.Logger, reg prometheus.Registerer) *Consumer {
	s.MaxBatch = orDefault(s.MaxBatch, 256)
	s.Linger = orDefault(s.Linger, 2*time.Millisecond)
	s.HandleTimeout = orDefault(s.HandleTimeout, 30*time.Second)
	s.Attempts = orDefault(s.Attempts, 5)
	m := consumerMetrics{
		handled: prometheus.NewCounter(prometheus.CounterOpts{Name: "ecommerce_events_handled_total",
			Help: "Events whose effect is committed.", ConstLabels: prometheus.Labels{"queue": s.Queue}}),
		dead: prometheus.NewCounter(prometheus.CounterOpts{Name: "ecommerce_events_dead_lettered_total",
			Help: "Events that could never be handled.", ConstLabels: prometheus.Labels{"queue": s.Queue}}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ecommerce_event_batch_size",
			Help: "Events handed to the handler at once.", ConstLabels: prometheus.Labels{"queue": s.Queue},
			Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
	}
	reg.MustRegister(m.handled, m.dead, m.batch)
	return &Consumer{settings: s, handler: h, log: log.With("queue", s.Queue), metrics: m}
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Run consumes until ctx ends. The batch in hand is finished and acknowledged
// first.
func (c *Consumer) Run(ctx context.Context) {
	RunWithReconnect(ctx, c.log, c.session)
}

// session consumes over one connection until ctx ends or the connection breaks.
func (c *Consumer) session(ctx context.Context) error {
	conn, err := Dial(c.settings.URL, c.settings.Name)
	if err != nil {
		return err
	}
	defer CloseWithDeadline(conn)
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if err := ch.Qos(2*c.settings.MaxBatch, 0, false); err != nil {
		return fmt.Errorf("set the prefetch count: %w", err)
	}
	deliveries, err := ch.Consume(c.settings.Queue, c.settings.Name, false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume %s: %w", c.settings.Queue, err)
	}
	c.log.InfoContext(ctx, "consuming")
	for {
		batch, err := c.drain(ctx, deliveries)
		if err != nil || len(batch) == 0 {
			return err
		}
		if err := c.settle(ctx, batch); err != nil {
			return err
		}
	}
}

// drain waits for a delivery and takes what follows it within Linger. It returns
// nothing when ctx ends first.
func (c *Consumer) drain(ctx context.Context, deliveries <-chan amqp.Delivery) ([]amqp.Delivery, error) {
	var batch []amqp.Delivery
	select {
	case <-ctx.Done():
		return nil, nil
	case d, ok := <-deliveries:
		if !ok {
			return nil, errClosed
		}
		batch = append(batch, d)
	}
	linger := time.NewTimer(c.settings.Linger)
	defer linger.Stop()
	for len(batch) < c.settings.MaxBatch {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return nil, errClosed
			}
			batch = append(batch, d)
		case <-linger.C:
			return batch, nil
		}
	}
	return batch, nil
}

// item is a delivery that could be read.
type item struct {
	delivery amqp.Delivery
	envelope event.Envelope
}

// settle handles the batch, rejects its poison messages and acknowledges the rest.
// An error means that nothing more can be settled over this connection.
func (c *Consumer) settle(ctx context.Context, batch []amqp.Delivery) error {
	items := make([]item, 0, len(batch))
	for _, d := range batch {
		e, err := event.Parse(d.Body)
		if err != nil {
			if err := c.reject(ctx, d, err); err != nil {
				return err
			}
			continue
		}
		items = append(items, item{d, e})
	}
	// A stop lets the batch in hand finish: it waits for HandleTimeout at most.
	return c.apply(ctx, items)
}

// apply hands items to the handler and settles them, splitting on failure.
func (c *Consumer) apply(ctx context.Context, items []item) error {
	if len(items) == 0 {
		return nil
	}
	envelopes := make([]event.Envelope, len(items))
	for i, it := range items {
		envelopes[i] = it.envelope
	}
	c.metrics.batch.Observe(float64(len(items)))
	pause := retryMin
	for attempt := 1; ; attempt++ {
		err := c.call(ctx, envelopes)
		switch {
		case err == nil:
			c.metrics.handled.Add(float64(len(items)))
			return c.acknowledge(items)
		case c.settings.Unavailable != nil && c.settings.Unavailable(err):
			c.log.WarnContext(ctx, "a dependency is away, the batch waits", "size", len(items), "error", err)
		case len(items) > 1:
			c.log.WarnContext(ctx, "batch failed, splitting it", "size", len(items), "error", err)
			if err := c.apply(ctx, items[:len(items)/2]); err != nil {
				return err
			}
			return c.apply(ctx, items[len(items)/2:])
		case errors.Is(err, ErrPoison) || errors.Is(err, event.ErrInvalid) || attempt >= c.settings.Attempts:
			return c.reject(ctx, items[0].delivery, err)
		}
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			return ctx.Err()
		}
		pause = min(2*pause, retryMax)
	}
}

// call runs the handler with a deadline of its own, so that a stop lets it finish,
// and turns a panic into an error.
func (c *Consumer) call(ctx context.Context, batch []event.Envelope) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.settings.HandleTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return c.handler.Handle(ctx, batch)
}

// acknowledge settles items, whose deliveries follow one another except where a
// poison message was rejected; all that came before is settled already.
func (c *Consumer) acknowledge(items []item) error {
	if err := items[len(items)-1].delivery.Ack(true); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

// reject dead-letters a delivery. Its body, which may be anything, is not logged.
func (c *Consumer) reject(ctx context.Context, d amqp.Delivery, reason error) error {
	c.metrics.dead.Inc()
	c.log.ErrorContext(ctx, "dead-lettering a message", "id", d.MessageId, "type", d.Type,
		"correlation_id", d.CorrelationId, "error", reason)
	if err := d.Nack(false, false); err != nil {
		return fmt.Errorf("dead-letter: %w", err)
	}
	return nil
}
