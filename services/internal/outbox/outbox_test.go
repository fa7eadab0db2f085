package outbox

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/inbox"
)

// fakeBroker confirms all messages, or none while it is unavailable.
type fakeBroker struct {
	mu          sync.Mutex
	unavailable bool
	published   []string
	batches     chan struct{}
}

var errUnavailable = errors.New("the broker is unavailable")

func (f *fakeBroker) Publish(_ context.Context, batch []broker.Message) ([]broker.Message, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unavailable {
		return nil, errUnavailable
	}
	for _, m := range batch {
		f.published = append(f.published, m.Correlation)
	}
	f.batches <- struct{}{}
	return batch, nil
}

func open(t *testing.T) *gorm.DB {
	t.Helper()
	db, err := database.Open(testenv.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	for _, statement := range []string{
		"CREATE TABLE outbox (event_id BINARY(16) NOT NULL PRIMARY KEY, body MEDIUMBLOB NOT NULL)",
		"CREATE TABLE inbox (event_id BINARY(16) NOT NULL PRIMARY KEY, claim BINARY(16) NOT NULL)",
		"CREATE TABLE effects (n INT NOT NULL)",
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
		return tx.Exec("INSERT INTO effects VALUES (1)").Error
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
	first := event.FirstID(time.Now().Add(-time.Hour))
	if err := db.Exec("INSERT INTO outbox VALUES (?, 'no event')", database.Binary(first[:])).Error; err != nil {
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
	b.unavailable = true
	publish(t, o, 1)
	run(t, o)
	b.mu.Lock()
	if n := count(t, db, "outbox"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	b.unavailable = false
	b.mu.Unlock()
	select {
	case <-b.batches:
	case <-time.After(30 * time.Second):
		t.Fatal("not published within 30 s after the broker became available")
	}
}

func TestRedeliveredEventIsClaimedOnce(t *testing.T) {
	t.Parallel()
	db := open(t)
	var batch []uuid.UUID
	for range 10 {
		id := newID(t)
		batch = append(batch, id, id)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	handled := map[uuid.UUID]int{}
	for worker := range 4 {
		wg.Go(func() {
			for i := range 5 {
				part := batch[(worker+i)%3*4 : len(batch)-i]
				err := database.Transact(t.Context(), db, func(tx *gorm.DB) error {
					fresh, err := inbox.Claim(tx, part)
					if err != nil {
						return err
					}
					for range fresh {
						if err := tx.Exec("INSERT INTO effects VALUES (1)").Error; err != nil {
							return err
						}
					}
					mu.Lock()
					defer mu.Unlock()
					for id := range fresh {
						handled[id]++
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, db, "effects"); n != 10 {
		t.Errorf("%d effects of 10 events, want 10 (claimed: %v)", n, handled)
	}
}

// newID returns the id of an event.
func newID(t *testing.T) uuid.UUID {
	t.Helper()
	e, err := event.New("sales", event.SaleCanceled{SaleID: 1}, time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

func TestPurgeDeletesOnlyOldIDs(t *testing.T) {
	t.Parallel()
	db := open(t)
	if _, err := inbox.Claim(db, []uuid.UUID{newID(t)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now  time.Time
		want int64
	}{{time.Now(), 0}, {time.Now().Add(inbox.Retention + time.Minute), 1}} {
		if n, err := inbox.Purge(t.Context(), db, c.now); err != nil || n != c.want {
			t.Errorf("at %s: purged %d, %v; want %d", c.now, n, err, c.want)
		}
	}
}
