// Package outbox implements the transactional outbox: an event is written to a table in
// the transaction of its cause, and its row is deleted after the broker has confirmed the
// event.
//
// After a commit the dispatcher publishes the events from memory in batches, and deletes
// their rows. Events that remain in the table after a crash, a full buffer or a failure of
// the broker are published by the relay of any replica. So an event may be published more
// than once, and consumers must accept that.
//
// A row has one owner. The dispatcher that committed it claims it for 5 s, by the clock of the
// database, and renews the claim while it holds the event. A relay publishes rows whose claim
// has ended.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
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
	// dispatchBuffer is the number of committed events that may wait in memory for the
	// dispatcher. The relay publishes those that exceed it.
	dispatchBuffer = 8192
	// claimTime is how long a row belongs to the dispatcher that committed it, or that has
	// renewed its claim. The dispatcher publishes most events much sooner.
	claimTime = 5 * time.Second
	// relayInterval is the time between two runs of the relay.
	relayInterval  = time.Second
	relayBatchSize = 256
	// behindAfter is the number of events for IsBehind.
	behindAfter = 1000
	// lateCommit is the time after the insertion of a row in which its transaction ends. The
	// relay starts so much before the rows that it has read, and searchInterval is the time
	// after which it reads all rows again, for those that others had locked.
	lateCommit     = time.Minute
	searchInterval = time.Minute
	// flushTimeout limits the time in which a stopping dispatcher publishes its events.
	flushTimeout = 5 * time.Second
)

// Sources of published events, which are values of a label.
const (
	sourceDispatcher = "dispatcher"
	sourceRelay      = "relay"
)

// Publisher is implemented by broker.Publisher.
type Publisher interface {
	// Publish publishes a batch and returns the messages that the broker has confirmed. When
	// some are missing, it returns an error, too, which wraps broker.ErrUnroutable if all of
	// these were unroutable.
	Publish(ctx context.Context, batch []broker.Message) (confirmed []broker.Message, err error)
}

// Outbox is the outbox of a service.
type Outbox struct {
	service   string
	db        *gorm.DB
	publisher Publisher
	log       *slog.Logger
	committed chan broker.Message
	claims    claims
	published *prometheus.CounterVec
	rows      prometheus.Gauge
	oldest    atomic.Int64 // the time of the oldest row in Unix milliseconds, 0 without rows

	claim    time.Duration // claimTime
	relayAge time.Duration // the time since a claim after which the relay publishes a row

	lowWater time.Time // the relay has published all rows whose claims are older
	searched time.Time // when the relay last read all rows
}

// New returns the outbox of a service and registers its metrics with reg. Run publishes
// its events.
func New(service string, db *gorm.DB, p Publisher, log *slog.Logger, reg prometheus.Registerer) *Outbox {
	o := &Outbox{
		service: service, db: db, publisher: p, log: log, claim: claimTime, relayAge: claimTime,
		committed: make(chan broker.Message, dispatchBuffer),
		published: telemetry.NewCounterVec("ecommerce_events_published_total",
			"Events confirmed by the broker, by their source: the dispatcher, which publishes from memory, or the relay, which publishes from the table.",
			"source", sourceDispatcher, sourceRelay),
		rows: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_outbox_rows",
			Help: "Events in the outbox. All replicas report the same number."}),
	}
	reg.MustRegister(o.published, o.rows, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ecommerce_outbox_oldest_seconds",
		Help: "Age of the oldest event in the outbox, 0 without one. It grows while the broker or the database is unavailable."}, o.oldestSeconds))
	return o
}

// beforeAllClaims is earlier than the claim of any row. The zero time is none that MySQL accepts
// as a DATETIME (error 1525).
var beforeAllClaims = time.Unix(0, 0).UTC()

// Measure updates the metrics of the rows in the table.
func (o *Outbox) Measure(ctx context.Context) error {
	var row struct {
		Events int64
		Age    float64 // in microseconds
	}
	err := o.db.WithContext(ctx).Raw("SELECT COUNT(*) AS events, COALESCE(TIMESTAMPDIFF(MICROSECOND, MIN(created_at), NOW(6)), 0) AS age FROM outbox").
		Scan(&row).Error
	if err != nil {
		return fmt.Errorf("count the events in the outbox: %w", err)
	}
	var oldest int64
	if row.Events > 0 {
		oldest = time.Now().Add(-time.Duration(row.Age) * time.Microsecond).UnixMilli()
	}
	o.rows.Set(float64(row.Events))
	o.oldest.Store(oldest)
	return nil
}

func (o *Outbox) oldestSeconds() float64 {
	oldest := o.oldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMilli(oldest)).Seconds())
}

// Tx is a transaction that can also publish events.
type Tx struct {
	*gorm.DB
	pending []pendingEvent
}

// pendingEvent is the data of an event with its trace context.
type pendingEvent struct {
	data        event.Data
	traceParent string
}

// Publish publishes an event if the transaction commits. The event belongs to the trace
// of the transaction's context.
func (t *Tx) Publish(data event.Data) {
	t.PublishWithTrace(telemetry.TraceParent(t.Statement.Context), data)
}

// PublishWithTrace publishes an event with the trace context traceParent if the
// transaction commits. In a batch it is that of the event or request which caused data.
func (t *Tx) PublishWithTrace(traceParent string, data event.Data) {
	t.pending = append(t.pending, pendingEvent{data, traceParent})
}

// IsBehind reports whether more than 1,000 events wait in the table, which they do only in an outage or with too
// much load. Copies of what waits would then delay everything further.
func (t *Tx) IsBehind() (bool, error) {
	var rows []int
	if err := t.Raw("SELECT 1 FROM outbox LIMIT 1 OFFSET ?", behindAfter).Scan(&rows).Error; err != nil {
		return false, fmt.Errorf("count the events that wait: %w", err)
	}
	return len(rows) > 0, nil
}

// Transact runs fn in a transaction, writes the published events to the outbox, commits,
// and passes the events to the dispatcher. It retries fn and returns errors as
// database.Transact does.
func (o *Outbox) Transact(ctx context.Context, fn func(tx *Tx) error) error {
	var messages []broker.Message
	var claimed time.Time
	err := database.Transact(ctx, o.db, func(db *gorm.DB) error {
		tx := &Tx{DB: db}
		if err := fn(tx); err != nil {
			return err
		}
		var err error
		if messages, err = o.encode(tx.pending); err != nil {
			return err
		}
		claimed = time.Now()
		return insertMessages(db, messages)
	})
	if err != nil {
		return err
	}
	o.claims.add(messages, claimed.Add(o.claim))
	for _, m := range messages {
		select {
		case o.committed <- m:
		default: // The relay publishes it.
			o.claims.release(m)
		}
	}
	return nil
}

func (o *Outbox) encode(pending []pendingEvent) ([]broker.Message, error) {
	messages := make([]broker.Message, 0, len(pending))
	for _, s := range pending {
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

func insertMessages(tx *gorm.DB, messages []broker.Message) error {
	return database.InsertRows(tx, "outbox (event_id, body)", messages, func(values []any, m broker.Message) ([]any, error) {
		return append(values, database.Binary(m.ID[:]), database.Binary(m.Body)), nil
	}, "")
}

func deleteMessages(tx *gorm.DB, messages []broker.Message) error {
	if len(messages) == 0 {
		return nil
	}
	ids := make([]any, len(messages))
	for i, m := range messages {
		ids[i] = database.Binary(m.ID[:])
	}
	// The server reads the whole table for a list of many ids, and waits for the rows that others have
	// locked. It finds each row of a join by its key.
	err := tx.Exec("DELETE FROM outbox USING (SELECT ? AS id"+strings.Repeat(" UNION ALL SELECT ?", len(ids)-1)+
		") AS published STRAIGHT_JOIN outbox ON outbox.event_id = published.id", ids...).Error
	if err != nil {
		return fmt.Errorf("delete %d published events from the outbox: %w", len(ids), err)
	}
	return nil
}

// Run publishes events until ctx is done, and then, for up to 5 s, those that were
// committed before.
func (o *Outbox) Run(ctx context.Context) {
	var background sync.WaitGroup
	background.Go(func() { o.every(ctx, relayInterval, "relaying the outbox", o.Relay) })
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	background.Go(func() { o.every(renewing, o.claim/5, "renewing the claims of events", o.renew) })
	o.runDispatcher(ctx)
	stop()
	background.Wait()
}

// runDispatcher publishes committed events from memory.
func (o *Outbox) runDispatcher(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case m := <-o.committed:
			o.publish(ctx, o.fillBatch(o.owned(nil, m)))
		}
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	for len(o.committed) > 0 && flush.Err() == nil {
		o.publish(flush, o.fillBatch(nil))
	}
}

// fillBatch adds the events to batch that are waiting for the dispatcher.
func (o *Outbox) fillBatch(batch []broker.Message) []broker.Message {
	for len(batch) < broker.MaxBatch {
		select {
		case m := <-o.committed:
			batch = o.owned(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// owned appends an event to batch if the dispatcher still owns its row.
func (o *Outbox) owned(batch []broker.Message, m broker.Message) []broker.Message {
	if !o.claims.owns(m, o.claim/5) {
		o.claims.release(m)
		return batch
	}
	return append(batch, m)
}

// publish publishes a batch from memory. Events that fail remain in the table for the
// relay.
func (o *Outbox) publish(ctx context.Context, batch []broker.Message) {
	if len(batch) == 0 {
		return
	}
	defer o.claims.release(batch...)
	ctx, end := broker.TracePublish(ctx, batch)
	confirmed, err := o.publisher.Publish(ctx, batch)
	defer func() { end(confirmed, err) }()
	if err != nil {
		o.log.WarnContext(ctx, "events stay in the outbox", "events", len(batch)-len(confirmed), "error", err)
	}
	o.published.WithLabelValues(sourceDispatcher).Add(float64(len(confirmed)))
	if o.log.Enabled(ctx, slog.LevelDebug) {
		for _, m := range confirmed {
			o.log.DebugContext(telemetry.WithTraceParent(ctx, m.TraceParent), "event published", "eventId", m.ID, "type", m.Type)
		}
	}
	if err := deleteMessages(o.db.WithContext(context.WithoutCancel(ctx)), confirmed); err != nil {
		o.log.WarnContext(ctx, "published events stay in the outbox and will be published again", "error", err)
	}
}

// every runs fn at an interval until ctx is done, and logs its errors.
func (o *Outbox) every(ctx context.Context, interval time.Duration, what string, fn func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := fn(ctx); err != nil && ctx.Err() == nil {
				o.log.WarnContext(ctx, what+" failed, retrying", "error", err)
			}
		}
	}
}

// Relay publishes the events in the table whose claims have ended, in the order of their
// claims, and deletes their rows. It skips rows that another replica has locked, and rows
// that cannot be published. It returns an error when the database or the broker fails. It must
// not be called concurrently.
func (o *Outbox) Relay(ctx context.Context) error {
	began, err := database.Clock(o.db)(ctx)
	if err != nil {
		return err
	}
	if time.Since(o.searched) > searchInterval {
		o.lowWater, o.searched = beforeAllClaims, time.Now()
	}
	p, left := position{claimedAt: o.lowWater}, 0
	for {
		read, unpublished, err := o.relayBatch(ctx, &p)
		if err != nil {
			return err
		}
		left += unpublished
		if read < relayBatchSize {
			break
		}
	}
	if left == 0 {
		o.lowWater = began.Add(-lateCommit - o.relayAge)
	}
	return nil
}

// position is the last row that a run of the relay has read.
type position struct {
	claimedAt time.Time
	eventID   uuid.UUID
}

// relayBatch publishes the rows after p and moves p. It returns the number of rows that it has
// read, and of those that stay in the table.
func (o *Outbox) relayBatch(ctx context.Context, p *position) (read, left int, err error) {
	var publishErr error
	err = o.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var rows []struct {
			EventID   []byte
			Body      []byte
			ClaimedAt time.Time
		}
		err := tx.Raw("SELECT event_id, body, claimed_at FROM outbox FORCE INDEX (outbox_by_claim) "+
			"WHERE claimed_at >= ? AND (claimed_at > ? OR event_id > ?) AND claimed_at <= NOW(6) - INTERVAL ? MICROSECOND "+
			"ORDER BY claimed_at, event_id LIMIT ? FOR UPDATE SKIP LOCKED",
			p.claimedAt, p.claimedAt, database.Binary(p.eventID[:]), o.relayAge.Microseconds(), relayBatchSize).Scan(&rows).Error
		if err != nil {
			return fmt.Errorf("read the outbox: %w", err)
		}
		read = len(rows)
		if read == 0 {
			return nil
		}
		*p = position{rows[read-1].ClaimedAt, uuid.UUID(rows[read-1].EventID)}
		batch := make([]broker.Message, 0, read)
		for _, row := range rows {
			e, err := event.Parse(row.Body)
			if err != nil {
				o.log.ErrorContext(ctx, "event in the outbox is malformed and stays there", "eventId", uuid.UUID(row.EventID), "error", err)
				continue
			}
			batch = append(batch, broker.Message{ID: e.ID, Type: e.Type, Correlation: e.Subject, TraceParent: e.TraceParent, Time: e.Time, Body: row.Body})
		}
		var confirmed []broker.Message
		ctx, end := broker.TracePublish(ctx, batch)
		confirmed, publishErr = o.publisher.Publish(ctx, batch)
		if len(confirmed) > 0 { // else an outage would add spans to each trace with every attempt
			end(confirmed, publishErr)
		}
		left = read - len(confirmed)
		o.published.WithLabelValues(sourceRelay).Add(float64(len(confirmed)))
		return deleteMessages(tx, confirmed)
	})
	if errors.Is(publishErr, broker.ErrUnroutable) {
		o.log.ErrorContext(ctx, "no queue for events, the broker's topology is incomplete", "error", publishErr)
		publishErr = nil
	}
	// Without a broker the next batch would fail, too.
	return read, left, errors.Join(err, publishErr)
}
