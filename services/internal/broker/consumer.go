package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Handler handles batches of events.
type Handler interface {
	// Handle commits the effects of all events of a batch, or of none. Events may be
	// redelivered. The error wraps ErrPoison or event.ErrInvalid when an event of the batch
	// can never be handled.
	Handle(ctx context.Context, batch []event.Envelope) error
}

// ErrPoison is wrapped by the error of a handler when an event of the batch can never be
// handled, however often it is delivered.
var ErrPoison = errors.New("can never be handled")

// Settings are the settings of a Consumer.
type Settings struct {
	URL  string
	Name string // of the connection, and the consumer tag
	// Queue is the queue to consume.
	Queue string
	// MaxBatch is the maximum number of events in a batch (default 256). A smaller batch is
	// handled after Linger (default 2 ms).
	MaxBatch int
	Linger   time.Duration
	// IsTransient reports whether an error of the handler is caused by a dependency that is
	// temporarily unavailable. The batch is then retried without a limit.
	IsTransient func(error) bool
	// IsConflict reports whether an error of the handler concerns only events whose rows another
	// transaction has locked. They are handled later, and do not delay the others. Events of the
	// same type and subject must have the same effect: a repeated command of which another copy is handled later is acknowledged, so that
	// repetitions do not add up while the row is locked. Nil is for never.
	IsConflict func(error) bool
	// Locked reports which events of a batch need rows that are locked now. It may miss some; a batch that conflicts
	// is then halved until they are alone. With wait it waits for one of these rows at a time, up to the lock wait
	// timeout, and does not count it when it was released. Nil is for a handler that cannot tell.
	Locked func(ctx context.Context, batch []event.Envelope, wait bool) ([]bool, error)
	// HandleTimeout is the timeout of one call of the handler (default 30 s).
	HandleTimeout time.Duration
	// MaxAttempts is how often a batch of one event is tried after errors that are neither
	// transient nor ErrPoison, before the event is dead-lettered (default 5).
	MaxAttempts int
}

// Limits of the time between two attempts to handle a batch or to store a dead letter.
const (
	minRetryBackoff = 50 * time.Millisecond
	maxRetryBackoff = 2 * time.Second
)

// Consumer passes the events of a queue to a handler in batches.
//
// It acknowledges a batch after the handler has committed it. While a dependency is
// unavailable it retries the batch without returning it to the queue, so that only
// crashes count for the delivery limit. A batch that fails with another error is split
// until the poison message is alone and is dead-lettered; the other events of the batch
// are handled. A message that conflicts with another transaction is handled later, see
// deferral.
type Consumer struct {
	settings Settings
	handler  Handler
	log      *slog.Logger
	metrics  consumerMetrics
}

type consumerMetrics struct {
	handled, deadLettered prometheus.Counter
	batch                 prometheus.Histogram
	age                   map[string]prometheus.Observer // by the type of the event
}

// NewConsumer returns a Consumer and registers its metrics with reg.
func NewConsumer(s Settings, h Handler, log *slog.Logger, reg prometheus.Registerer) *Consumer {
	s.MaxBatch = orDefault(s.MaxBatch, 256)
	s.Linger = orDefault(s.Linger, 2*time.Millisecond)
	s.HandleTimeout = orDefault(s.HandleTimeout, 30*time.Second)
	s.MaxAttempts = orDefault(s.MaxAttempts, 5)
	m := consumerMetrics{
		handled: prometheus.NewCounter(prometheus.CounterOpts{Name: "ecommerce_events_handled_total",
			Help: "Events handled and committed.", ConstLabels: prometheus.Labels{"queue": s.Queue}}),
		deadLettered: prometheus.NewCounter(prometheus.CounterOpts{Name: "ecommerce_events_dead_lettered_total",
			Help: "Events rejected to the dead-letter queue.", ConstLabels: prometheus.Labels{"queue": s.Queue}}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ecommerce_event_batch_size",
			Help: "Number of events in a batch passed to the handler.", ConstLabels: prometheus.Labels{"queue": s.Queue},
			Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
	}
	ages := telemetry.HistogramOpts("ecommerce_event_age_seconds",
		"Time from the transaction that published an event to the commit of its effects, by type.",
		[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600})
	ages.ConstLabels = prometheus.Labels{"queue": s.Queue}
	age := prometheus.NewHistogramVec(ages, []string{"type"})
	m.age = map[string]prometheus.Observer{}
	for _, q := range event.Queues {
		if q.Name == s.Queue {
			for _, name := range q.Events {
				m.age[name] = age.WithLabelValues(name)
			}
		}
	}
	reg.MustRegister(m.handled, m.deadLettered, m.batch, age)
	return &Consumer{settings: s, handler: h, log: log.With("queue", s.Queue), metrics: m}
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Run consumes until ctx is done. It finishes and acknowledges the current batch before it
// returns.
func (c *Consumer) Run(ctx context.Context) {
	RunWithReconnect(ctx, c.log, c.session)
}

// session consumes over one connection until ctx is done or the connection is lost.
func (c *Consumer) session(ctx context.Context) error {
	conn, err := Dial(c.settings.URL, c.settings.Name)
	if err != nil {
		return err
	}
	defer CloseWithDeadline(conn)
	s := &subscription{conn: conn, queue: c.settings.Queue, tag: c.settings.Name, prefetch: 2*c.settings.MaxBatch + maxDeferred}
	if err := s.open(); err != nil {
		return err
	}
	c.log.InfoContext(ctx, "consuming")
	deferred := newDeferral()
	retrying, stop := context.WithCancel(ctx)
	retried := make(chan struct{})
	go func() { defer close(retried); c.retryDeferred(retrying, deferred) }()
	defer func() { stop(); <-retried }()
	for {
		if !deferred.waitForCapacity(ctx) {
			return nil
		}
		batch, err := c.nextBatch(ctx, s, deferred)
		if err != nil || len(batch) == 0 {
			return err
		}
		if err := c.process(ctx, batch, deferred); err != nil {
			return err
		}
	}
}

// nextBatch waits for a delivery and returns it with those that follow within Linger. It
// returns nil when ctx is done before.
func (c *Consumer) nextBatch(ctx context.Context, s *subscription, deferred *deferral) ([]amqp.Delivery, error) {
	first, ok, err := s.next(ctx, func() bool { return deferred.outstanding() > 0 })
	if !ok {
		return nil, err
	}
	batch := []amqp.Delivery{first}
	linger := time.NewTimer(c.settings.Linger)
	defer linger.Stop()
	for len(batch) < c.settings.MaxBatch {
		select {
		case d, ok := <-s.deliveries:
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

// parsedDelivery is a delivery with its event.
type parsedDelivery struct {
	delivery amqp.Delivery
	envelope event.Envelope
}

func envelopesOf(parsed []parsedDelivery) []event.Envelope {
	envelopes := make([]event.Envelope, len(parsed))
	for i, p := range parsed {
		envelopes[i] = p.envelope
	}
	return envelopes
}

// process handles and acknowledges a batch, and rejects malformed and poison messages. An
// error means that the connection is lost.
func (c *Consumer) process(ctx context.Context, batch []amqp.Delivery, deferred *deferral) error {
	parsed := make([]parsedDelivery, 0, len(batch))
	for _, d := range batch {
		e, err := event.Parse(d.Body)
		if err != nil {
			if err := c.reject(ctx, d, err); err != nil {
				return err
			}
			continue
		}
		e.TraceParent = traceParentOf(d, e)
		parsed = append(parsed, parsedDelivery{d, e})
	}
	// While rows are known to be locked, other events do not wait for them.
	if deferred.outstanding() > 0 {
		var err error
		if parsed, err = c.postponeLocked(ctx, parsed, deferred, false); err != nil {
			return err
		}
	}
	return c.handle(ctx, parsed, deferred)
}

// handle passes a batch to the handler and acknowledges it, also after ctx is done, within HandleTimeout. It splits
// a batch that fails, and defers messages that conflict.
func (c *Consumer) handle(ctx context.Context, parsed []parsedDelivery, deferred *deferral) error {
	if len(parsed) == 0 {
		return nil
	}
	envelopes := envelopesOf(parsed)
	c.metrics.batch.Observe(float64(len(parsed)))
	traced, endSpans := TraceProcess(ctx, c.settings.Queue, envelopes) // of all attempts together
	backoff := newBackoff(minRetryBackoff, maxRetryBackoff)
	for attempt := 1; ; attempt++ {
		err := c.callHandler(traced, envelopes)
		conflict := err != nil && c.settings.IsConflict != nil && c.settings.IsConflict(err)
		switch {
		case err == nil:
			endSpans(nil)
			c.metrics.handled.Add(float64(len(parsed)))
			for _, e := range envelopes {
				c.record(ctx, e)
			}
			return deferred.acknowledge(parsed)
		case conflict && len(parsed) == 1:
			endSpans(err)
			return c.postpone(ctx, parsed[0], deferred, err)
		case !conflict && c.settings.IsTransient != nil && c.settings.IsTransient(err):
			c.log.WarnContext(ctx, "dependency unavailable, retrying the batch", "size", len(parsed), "error", err)
		case len(parsed) > 1:
			endSpans(err)
			if conflict {
				rest, postponeErr := c.postponeLocked(ctx, parsed, deferred, false)
				if postponeErr != nil {
					return postponeErr
				}
				if len(rest) < len(parsed) {
					return c.handle(ctx, rest, deferred)
				}
			}
			c.log.WarnContext(ctx, "batch failed, splitting it", "size", len(parsed), "error", err)
			if err := c.handle(ctx, parsed[:len(parsed)/2], deferred); err != nil {
				return err
			}
			return c.handle(ctx, parsed[len(parsed)/2:], deferred)
		case errors.Is(err, ErrPoison) || errors.Is(err, event.ErrInvalid) || attempt >= c.settings.MaxAttempts:
			endSpans(err)
			deferred.remove(parsed[0])
			return c.reject(ctx, parsed[0].delivery, err)
		}
		if wait, _ := backoff.Next(); !sleep(ctx, wait) {
			endSpans(err)
			return ctx.Err()
		}
	}
}

// postpone defers a message that conflicts, or acknowledges a copy of one that is deferred.
func (c *Consumer) postpone(ctx context.Context, p parsedDelivery, deferred *deferral, reason error) error {
	isNew, isCopy := deferred.add(p)
	if isCopy {
		return ack(p.delivery, false)
	}
	if isNew {
		c.log.WarnContext(ctx, "message conflicts with another transaction, retrying it later", "messageId", p.delivery.MessageId,
			"type", p.delivery.Type, "correlationId", p.delivery.CorrelationId, "error", reason)
	}
	return nil
}

// errLocked is the reason why a message is not tried.
var errLocked = errors.New("another transaction has locked its rows")

// postponeLocked postpones the messages of a batch that need locked rows, see Settings.Locked, and returns the rest.
func (c *Consumer) postponeLocked(ctx context.Context, parsed []parsedDelivery, deferred *deferral, wait bool) (rest []parsedDelivery, err error) {
	if c.settings.Locked == nil || len(parsed) == 0 {
		return parsed, nil
	}
	finding, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.settings.HandleTimeout)
	defer cancel()
	locked, err := c.settings.Locked(finding, envelopesOf(parsed), wait)
	if err != nil {
		c.log.WarnContext(ctx, "locked rows of a batch are not known", "size", len(parsed), "error", err)
		return parsed, nil
	}
	for i, p := range parsed {
		if !locked[i] {
			rest = append(rest, p)
		} else if err := c.postpone(ctx, p, deferred, errLocked); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// record logs and measures an event that was handled.
func (c *Consumer) record(ctx context.Context, e event.Envelope) {
	seconds := max(0, time.Since(e.Time).Seconds()) // The clocks of replicas may differ.
	if age := c.metrics.age[e.Type]; age != nil {
		age.Observe(seconds)
	}
	if c.log.Enabled(ctx, slog.LevelDebug) {
		c.log.DebugContext(telemetry.WithTraceParent(ctx, e.TraceParent), "event handled", "eventId", e.ID, "type", e.Type, "ageSeconds", seconds)
	}
}

// callHandler calls the handler with HandleTimeout, also after ctx is canceled, and
// returns a panic as an error.
func (c *Consumer) callHandler(ctx context.Context, batch []event.Envelope) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.settings.HandleTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return c.handler.Handle(ctx, batch)
}

// reject dead-letters a delivery. It does not log the body, which may be anything.
func (c *Consumer) reject(ctx context.Context, d amqp.Delivery, reason error) error {
	c.metrics.deadLettered.Inc()
	c.log.ErrorContext(ctx, "message rejected to the dead-letter queue", "messageId", d.MessageId, "type", d.Type,
		"correlationId", d.CorrelationId, "error", reason)
	if err := d.Nack(false, false); err != nil {
		return fmt.Errorf("reject: %w", err)
	}
	return nil
}
