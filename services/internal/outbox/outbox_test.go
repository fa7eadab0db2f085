package outbox

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
)

// fakeBroker confirms the messages of a batch except those that refuse selects, for which it
// returns err.
type fakeBroker struct {
	mu        sync.Mutex
	refuse    func(broker.Message) bool
	err       error
	published []string
	sizes     []int         // of the batches
	batches   chan struct{} // receives a value for each confirmed batch
}

var errUnavailable = errors.New("the broker is unavailable")

func all(broker.Message) bool { return true }

func (f *fakeBroker) Publish(ctx context.Context, batch []broker.Message) ([]broker.Message, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sizes = append(f.sizes, len(batch))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var confirmed []broker.Message
	for _, m := range batch {
		if f.refuse == nil || !f.refuse(m) {
			confirmed = append(confirmed, m)
			f.published = append(f.published, m.Correlation)
		}
	}
	if len(confirmed) > 0 {
		f.batches <- struct{}{}
	}
	if len(confirmed) < len(batch) {
		return confirmed, f.err
	}
	return confirmed, nil
}

func open(t *testing.T) *gorm.DB {
	t.Helper()
	db, err := database.Open(testenv.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	for _, statement := range []string{
		`CREATE TABLE outbox (event_id BINARY(16) NOT NULL PRIMARY KEY, body MEDIUMBLOB NOT NULL,
			created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), claimed_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
			KEY outbox_by_claim (claimed_at))`,
		"CREATE TABLE effects (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY)",
	} {
		if err := db.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func newOutbox(t *testing.T) (*Outbox, *fakeBroker, *gorm.DB) {
	db, b := open(t), &fakeBroker{batches: make(chan struct{}, 100)}
	o := New("sales", db, b, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	o.relayAge = -time.Second // The relay publishes new rows at once.
	return o, b, db
}

func count(t *testing.T, db *gorm.DB, table string) int64 {
	t.Helper()
	var n int64
	if err := db.Table(table).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func publish(t *testing.T, o *Outbox, ids ...int64) {
	t.Helper()
	err := o.Transact(t.Context(), func(tx *Tx) error {
		for _, id := range ids {
			tx.Publish(event.SaleCanceled{SaleID: id})
		}
		return tx.Exec("INSERT INTO effects VALUES ()").Error
	})
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, o *Outbox) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); o.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func TestCommittedEventsArePublishedAndTheirRowsDeleted(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	publish(t, o, 1, 2, 3)
	if n := count(t, db, "outbox"); n != 3 {
		t.Fatalf("%d rows after the commit, want 3", n)
	}
	stop := run(t, o)
	<-b.batches
	stop()
	if n := count(t, db, "outbox"); n != 0 {
		t.Errorf("%d rows after publishing, want none", n)
	}
}

func TestRowsAreMeasured(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	measure := func() (rows, oldest float64) {
		t.Helper()
		if err := o.Measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		return testutil.ToFloat64(o.rows), o.oldestSeconds()
	}
	if rows, oldest := measure(); rows != 0 || oldest != 0 {
		t.Errorf("empty: %v rows, the oldest %v s, want 0 and 0", rows, oldest)
	}
	publish(t, o, 1, 2)
	if err := db.Exec("UPDATE outbox SET created_at = NOW(6) - INTERVAL 1 MINUTE LIMIT 1").Error; err != nil {
		t.Fatal(err)
	}
	if rows, oldest := measure(); rows != 2 || oldest < 60 || oldest > 120 {
		t.Errorf("%v rows, the oldest %v s, want 2 and about 60", rows, oldest)
	}
	stop := run(t, o)
	<-b.batches
	stop()
	if err := db.Exec("DELETE FROM outbox").Error; err != nil {
		t.Fatal(err)
	}
	if rows, oldest := measure(); rows != 0 || oldest != 0 {
		t.Errorf("empty again: %v rows, the oldest %v s, want 0 and 0", rows, oldest)
	}
}

func TestRolledBackTransactionPublishesNothing(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	failed := errors.New("no")
	err := o.Transact(t.Context(), func(tx *Tx) error {
		tx.Publish(event.SaleCanceled{SaleID: 1})
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatalf("error %v, want %v", err, failed)
	}
	stop := run(t, o)
	stop()
	if n := count(t, db, "outbox"); n != 0 || len(b.published) != 0 {
		t.Errorf("%d rows, published %v; want none", n, b.published)
	}
}

func TestRelayPublishesEventsLeftByCrash(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	for id := range int64(relayBatchSize + 10) {
		publish(t, o, id+1)
	}
	// The process that committed these has crashed, and its memory is lost.
	o.committed = make(chan broker.Message, dispatchBuffer)
	if err := o.Relay(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, "outbox"); n != 0 || len(b.published) != relayBatchSize+10 {
		t.Errorf("%d rows left, %d published; want 0 and %d", n, len(b.published), relayBatchSize+10)
	}
}

func TestMalformedRowDoesNotBlockOthers(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	if err := db.Exec("INSERT INTO outbox (event_id, body) VALUES (?, 'no event')", database.Binary(make([]byte, 16))).Error; err != nil {
		t.Fatal(err)
	}
	publish(t, o, 1)
	o.committed = make(chan broker.Message, dispatchBuffer)
	if err := o.Relay(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, "outbox"); n != 1 || len(b.published) != 1 {
		t.Errorf("%d rows left, published %v; want the malformed one left and the other published", n, b.published)
	}
}

func TestRowsStayWhileBrokerIsUnavailable(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	b.refuse, b.err = all, errUnavailable
	publish(t, o, 1)
	run(t, o)
	b.mu.Lock()
	if n := count(t, db, "outbox"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	b.refuse = nil
	b.mu.Unlock()
	select {
	case <-b.batches:
	case <-time.After(30 * time.Second):
		t.Fatal("not published within 30 s after the broker became available")
	}
}

func TestUnconfirmedEventsStayInTheOutbox(t *testing.T) {
	t.Parallel()
	for source, publishAll := range map[string]func(*Outbox, *fakeBroker){
		"dispatcher": func(o *Outbox, b *fakeBroker) { stop := run(t, o); <-b.batches; stop() },
		"relay": func(o *Outbox, _ *fakeBroker) {
			if err := o.Relay(t.Context()); err != nil {
				t.Errorf("unroutable events are an error: %v", err)
			}
		},
	} {
		o, b, db := newOutbox(t)
		if source == "dispatcher" {
			o.relayAge = time.Hour
		}
		b.refuse, b.err = func(m broker.Message) bool { return m.Correlation == "2" }, broker.ErrUnroutable
		publish(t, o, 1, 2, 3)
		publishAll(o, b)
		if n := count(t, db, "outbox"); n != 1 || len(b.published) != 2 {
			t.Errorf("%s: %d rows left, published %v; want the unconfirmed one left", source, n, b.published)
		}
		if n := testutil.ToFloat64(o.published.WithLabelValues(source)); n != 2 {
			t.Errorf("%s: %.0f events counted, want 2", source, n)
		}
	}
}

func TestUnroutableEventsDoNotBlockTheRelay(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	for id := range int64(relayBatchSize + 10) {
		publish(t, o, id+1)
	}
	tried := 0
	b.refuse, b.err = func(broker.Message) bool { tried++; return tried <= relayBatchSize }, broker.ErrUnroutable
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := o.Relay(ctx); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, "outbox"); n != relayBatchSize || len(b.published) != 10 {
		t.Errorf("%d rows left, %d published; want %d and 10", n, len(b.published), relayBatchSize)
	}
}

func TestRelayStopsWhileBrokerIsUnavailable(t *testing.T) {
	t.Parallel()
	o, b, _ := newOutbox(t)
	for id := range int64(relayBatchSize + 10) {
		publish(t, o, id+1)
	}
	b.refuse, b.err = all, errUnavailable
	if err := o.Relay(t.Context()); !errors.Is(err, errUnavailable) {
		t.Errorf("error %v, want %v", err, errUnavailable)
	}
	if len(b.sizes) != 1 {
		t.Errorf("%d batches were tried, want 1", len(b.sizes))
	}
}

func TestRelaySkipsRowsOfAnotherReplica(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	publish(t, o, 1)
	publish(t, o, 2)
	other := db.Begin()
	t.Cleanup(func() { other.Rollback() })
	if err := other.Exec("SELECT event_id FROM outbox ORDER BY event_id LIMIT 1 FOR UPDATE").Error; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := o.Relay(ctx); err != nil {
		t.Fatal(err)
	}
	if len(b.published) != 1 || b.published[0] != "2" {
		t.Errorf("published %v, want only the event whose row is not locked", b.published)
	}
}

// TestLockedRowsDoNotBlockOthers has so many events that the server would read the whole table to find
// them by their ids, and wait for the rows that another replica has locked.
func TestLockedRowsDoNotBlockOthers(t *testing.T) {
	t.Parallel()
	const events, locked = 200, 2
	o, b, db := newOutbox(t)
	ids := make([]int64, events)
	for i := range ids {
		ids[i] = int64(i + 1)
	}
	publish(t, o, ids...)
	other := db.Begin()
	t.Cleanup(func() { other.Rollback() })
	if err := other.Exec("SELECT event_id FROM outbox ORDER BY event_id LIMIT ? FOR UPDATE", locked).Error; err != nil {
		t.Fatal(err)
	}
	if err := o.Relay(t.Context()); err != nil {
		t.Errorf("relay: %v", err)
	}
	if n := count(t, db, "outbox"); n != locked || len(b.published) != events-locked {
		t.Errorf("%d events are published and %d rows are left, want %d and %d", len(b.published), n, events-locked, locked)
	}
}

func TestDispatcherPublishesInBatches(t *testing.T) {
	t.Parallel()
	o, b, _ := newOutbox(t)
	o.relayAge = time.Hour
	const events = 2*broker.MaxBatch + 1
	ids := make([]int64, events)
	for i := range ids {
		ids[i] = int64(i + 1)
	}
	publish(t, o, ids...)
	stop := run(t, o)
	for range 3 {
		<-b.batches
	}
	stop()
	if want := []int{broker.MaxBatch, broker.MaxBatch, 1}; !slices.Equal(b.sizes, want) {
		t.Errorf("batches of %v events, want %v", b.sizes, want)
	}
}

func TestStoppingDispatcherPublishesCommittedEvents(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	publish(t, o, 1, 2, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.Run(ctx)
	if n := count(t, db, "outbox"); n != 0 || len(b.published) != 3 {
		t.Errorf("%d rows left, published %v; want all published", n, b.published)
	}
}

// TestRelayIgnoresTheTimeOfAnEvent publishes events whose ids and times replicas with wrong clocks
// have created.
func TestRelayIgnoresTheTimeOfAnEvent(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	o.relayAge = time.Hour
	for i, off := range []time.Duration{-24 * time.Hour, -time.Hour, time.Hour, 24 * time.Hour} {
		e, err := event.New("sales", event.SaleCanceled{SaleID: int64(i + 1)}, time.Now().Add(off), "")
		if err != nil {
			t.Fatal(err)
		}
		milliseconds := binary.BigEndian.AppendUint64(nil, uint64(e.Time.UnixMilli()))
		copy(e.ID[:6], milliseconds[2:])
		m, err := broker.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := insertMessages(db, []broker.Message{m}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		claimed string
		want    int
	}{{"NOW(6)", 0}, {"NOW(6) - INTERVAL 59 MINUTE", 0}, {"NOW(6) - INTERVAL 61 MINUTE", 4}} {
		if err := db.Exec("UPDATE outbox SET claimed_at = " + c.claimed).Error; err != nil {
			t.Fatal(err)
		}
		o.searched = time.Time{}
		if err := o.Relay(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(b.published) != c.want {
			t.Errorf("claimed at %s: %d events are published, want %d", c.claimed, len(b.published), c.want)
		}
	}
}

// slowBroker confirms a batch after proceed is closed.
type slowBroker struct {
	proceed chan struct{}
	mu      sync.Mutex
	times   map[string]int // how often an event was passed to the broker
}

func (s *slowBroker) Publish(_ context.Context, batch []broker.Message) ([]broker.Message, error) {
	s.mu.Lock()
	for _, m := range batch {
		s.times[m.Correlation]++
	}
	s.mu.Unlock()
	<-s.proceed
	return batch, nil
}

// TestRowHasOneOwner holds events for several times the duration of a claim, one batch at the
// broker and others in memory.
func TestRowHasOneOwner(t *testing.T) {
	t.Parallel()
	db, b := open(t), &slowBroker{proceed: make(chan struct{}), times: map[string]int{}}
	quiet := slog.New(slog.DiscardHandler)
	o, other := New("sales", db, b, quiet, prometheus.NewRegistry()), New("sales", db, b, quiet, prometheus.NewRegistry())
	const claim = 2 * time.Second
	o.claim, o.relayAge, other.relayAge = claim, claim, claim
	const events = broker.MaxBatch + 100
	ids := make([]int64, events)
	for i := range ids {
		ids[i] = int64(i + 1)
	}
	publish(t, o, ids...)
	stop := run(t, o)
	var proceed sync.Once
	release := func() { proceed.Do(func() { close(b.proceed) }) }
	t.Cleanup(release) // before stop, also when the test fails
	relayed := make(chan error, 1)
	go func() {
		for {
			var ended bool
			err := db.Raw("SELECT MIN(created_at) < NOW(6) - INTERVAL 5 SECOND FROM outbox").Scan(&ended).Error
			if err == nil {
				err = other.Relay(t.Context())
			}
			if err != nil || ended {
				relayed <- err
				return
			}
		}
	}()
	testenv.Eventually(t, "the claims would have ended twice", func() bool {
		select {
		case err := <-relayed:
			if err != nil {
				t.Fatal(err)
			}
			return true
		default:
			return false
		}
	})
	release()
	testenv.Eventually(t, "all rows are deleted", func() bool { return count(t, db, "outbox") == 0 })
	stop()
	for id, times := range b.times {
		if times != 1 {
			t.Fatalf("event %s was published %d times", id, times)
		}
	}
	if len(b.times) != events {
		t.Errorf("%d events were published, want %d", len(b.times), events)
	}
}

// TestDispatcherLeavesEventsThatItDoesNotOwn is about a process that was suspended.
func TestDispatcherLeavesEventsThatItDoesNotOwn(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	o.relayAge = time.Hour
	publish(t, o, 1)
	o.claims.extend(o.claims.ending(claimTime), time.Now()) // It is suspended until the claim ends.
	publish(t, o, 2)
	stop := run(t, o)
	<-b.batches
	stop()
	if n := count(t, db, "outbox"); n != 1 || !slices.Equal(b.published, []string{"2"}) {
		t.Errorf("%d rows left, published %v; want the first event left for the relay", n, b.published)
	}
}

// TestRelayStartsAtItsLowWaterMark inserts a row with a claim that is older than any transaction.
// The relay finds it when it reads all rows again.
func TestRelayStartsAtItsLowWaterMark(t *testing.T) {
	t.Parallel()
	o, b, db := newOutbox(t)
	relay := func(want int) {
		t.Helper()
		if err := o.Relay(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(b.published) != want {
			t.Errorf("%d events are published, want %d", len(b.published), want)
		}
	}
	publish(t, o, 1)
	relay(1)
	publish(t, o, 2)
	if err := db.Exec("UPDATE outbox SET claimed_at = claimed_at - INTERVAL 5 MINUTE").Error; err != nil {
		t.Fatal(err)
	}
	publish(t, o, 3)
	relay(2)
	o.searched = time.Now().Add(-2 * searchInterval)
	relay(3)
}
