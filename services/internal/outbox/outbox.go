// Package outbox makes an event as durable as its cause: it is a row written in
// the same transaction, and the row goes only when the broker has confirmed it.
//
// The usual way is short: after the commit the dispatcher publishes from memory, in
// batches, and deletes the confirmed rows in bulk. What a crash, a full memory or an
// absent broker left behind, the relay of any replica sweeps from the table. An
// event may thus be published twice; consumers have an inbox.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/telemetry"
)

const (
	// inMemory bounds the events that wait for the dispatcher; more are left to
	// the relay.
	inMemory = 8192
	// sweepInterval of the relay, and the age at which it takes a row: the
	// dispatcher has confirmed most rows long before.
	sweepInterval = time.Second
	sweepAge      = 5 * time.Second
	sweepBatch    = 256
	// flushTimeout bounds what a stopping dispatcher still publishes.
	flushTimeout = 5 * time.Second
)

// Publisher is what the outbox needs of the broker.
type Publisher interface {
	Publish(ctx context.Context, batch []broker.Message) (taken []broker.Message, err error)
}

// Outbox of a service.
type Outbox struct {
	service   string
	db        *gorm.DB
	publisher Publisher
	log       *slog.Logger
	committed chan broker.Message
	published *prometheus.CounterVec
	sweepAge  time.Duration
}

// New returns the outbox of a service; Run publishes from it.
func New(service string, db *gorm.DB, p Publisher, log *slog.Logger, reg prometheus.Registerer) *Outbox {
	o := &Outbox{
		service: service, db: db, publisher: p, log: log, sweepAge: sweepAge,
		committed: make(chan broker.Message, inMemory),
		published: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ecommerce_events_published_total",
			Help: "Events confirmed by the broker, by the way they took: memory, or swept from the table."},
			[]string{"way"}),
	}
	reg.MustRegister(o.published)
	return o
}

// Tx is a transaction that can also say events.
type Tx struct {
	*gorm.DB
	said []saying
}

// saying is an event's data and the trace it belongs to.
type saying struct {
	data        event.Data
	traceParent string
}

// Say lets the world know of data if the transaction commits.
func (t *Tx) Say(data event.Data) {
	t.Answer(telemetry.TraceParent(t.Statement.Context), data)
}

// Answer is Say for one event of a batch: traceParent is that of the event which
// data answers.
func (t *Tx) Answer(traceParent string, data event.Data) {
	t.said = append(t.said, saying{data, traceParent})
}

// Transact runs fn in a transaction, writes the events it said, commits, and hands
// the events to the dispatcher. It repeats fn as database.Transact does.
func (o *Outbox) Transact(ctx context.Context, fn func(tx *Tx) error) error {
	var messages []broker.Message
	err := database.Transact(ctx, o.db, func(db *gorm.DB) error {
		tx := &Tx{DB: db}
		if err := fn(tx); err != nil {
			return err
		}
		var err error
		if messages, err = o.encode(tx.said); err != nil {
			return err
		}
		return write(db, messages)
	})
	if err != nil {
		return err
	}
	for _, m := range messages {
		select {
		case o.committed <- m:
		default: // The relay takes it.
		}
	}
	return nil
}

func (o *Outbox) encode(said []saying) ([]broker.Message, error) {
	messages := make([]broker.Message, 0, len(said))
	for _, s := range said {
		e, err := event.New(o.service, s.data, database.Now(), s.traceParent)
		if err != nil {
			return nil, err
		}
		m, err := broker.Encode(e)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

func write(tx *gorm.DB, messages []broker.Message) error {
	if len(messages) == 0 {
		return nil
	}
	arguments := make([]any, 0, 2*len(messages))
	for _, m := range messages {
		arguments = append(arguments, database.Binary(m.ID[:]), database.Binary(m.Body))
	}
	err := tx.Exec("INSERT INTO outbox (event_id, body) VALUES "+strings.Repeat(",(?,?)", len(messages))[1:], arguments...).Error
	if err != nil {
		return fmt.Errorf("write %d events to the outbox: %w", len(messages), err)
	}
	return nil
}

func remove(tx *gorm.DB, messages []broker.Message) error {
	if len(messages) == 0 {
		return nil
	}
	ids := make([]database.Binary, len(messages))
	for i, m := range messages {
		ids[i] = m.ID[:]
	}
	if err := tx.Exec("DELETE FROM outbox WHERE event_id IN ?", ids).Error; err != nil {
		return fmt.Errorf("delete %d published events from the outbox: %w", len(ids), err)
	}
	return nil
}

// Run publishes until ctx ends, and then what was committed by that time.
func (o *Outbox) Run(ctx context.Context) {
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		o.relay(ctx)
	}()
	o.dispatch(ctx)
	<-swept
}

// dispatch publishes committed events from memory.
func (o *Outbox) dispatch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			defer cancel()
			for len(o.committed) > 0 && ctx.Err() == nil {
				o.publish(ctx, o.take(nil))
			}
			return
		case m := <-o.committed:
			o.publish(ctx, o.take([]broker.Message{m}))
		}
	}
}

// take adds to batch what waits already.
func (o *Outbox) take(batch []broker.Message) []broker.Message {
	for len(batch) < broker.MaxBatch {
		select {
		case m := <-o.committed:
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// publish sends a batch from memory. What fails stays in the table for the relay.
func (o *Outbox) publish(ctx context.Context, batch []broker.Message) {
	taken, err := o.publisher.Publish(ctx, batch)
	if err != nil {
		o.log.WarnContext(ctx, "events stay in the outbox", "events", len(batch)-len(taken), "error", err)
	}
	o.published.WithLabelValues("memory").Add(float64(len(taken)))
	if err := remove(o.db.WithContext(context.WithoutCancel(ctx)), taken); err != nil {
		o.log.WarnContext(ctx, "published events stay in the outbox and will be published again", "error", err)
	}
}

// relay sweeps the table at intervals.
func (o *Outbox) relay(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := o.Sweep(ctx); err != nil && ctx.Err() == nil {
				o.log.WarnContext(ctx, "sweeping the outbox failed, trying again", "error", err)
			}
		}
	}
}

// Sweep publishes the events that have waited long enough, in the order of their
// ids, once through the table. Rows that another replica has in hand are passed by,
// and rows that cannot be published do not hold up those behind them.
func (o *Outbox) Sweep(ctx context.Context) error {
	var after uuid.UUID
	for {
		last, n, err := o.sweepBatch(ctx, after)
		if err != nil || n < sweepBatch {
			return err
		}
		after = last
	}
}

func (o *Outbox) sweepBatch(ctx context.Context, after uuid.UUID) (last uuid.UUID, n int, err error) {
	before := event.FirstID(database.Now().Add(-o.sweepAge))
	var publishErr error
	err = o.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var rows []struct {
			EventID []byte
			Body    []byte
		}
		err := tx.Raw("SELECT event_id, body FROM outbox WHERE event_id > ? AND event_id < ? ORDER BY event_id LIMIT ? FOR UPDATE SKIP LOCKED",
			database.Binary(after[:]), database.Binary(before[:]), sweepBatch).Scan(&rows).Error
		if err != nil {
			return fmt.Errorf("read the outbox: %w", err)
		}
		n = len(rows)
		if n == 0 {
			return nil
		}
		last = uuid.UUID(rows[n-1].EventID)
		batch := make([]broker.Message, 0, n)
		for _, row := range rows {
			e, err := event.Parse(row.Body)
			if err != nil {
				o.log.ErrorContext(ctx, "an event in the outbox cannot be read and stays there", "id", uuid.UUID(row.EventID), "error", err)
				continue
			}
			batch = append(batch, broker.Message{ID: e.ID, Type: e.Type, Correlation: e.Subject, TraceParent: e.TraceParent, Time: e.Time, Body: row.Body})
		}
		var taken []broker.Message
		taken, publishErr = o.publisher.Publish(ctx, batch)
		o.published.WithLabelValues("swept").Add(float64(len(taken)))
		return remove(tx, taken)
	})
	if err != nil || publishErr == nil {
		return last, n, err
	}
	if errors.Is(publishErr, broker.ErrUnroutable) {
		o.log.ErrorContext(ctx, "events have nowhere to go, the broker's topology is incomplete", "error", publishErr)
		return last, n, nil
	}
	// Without a broker the next batch would fail alike.
	return last, 0, publishErr
}
