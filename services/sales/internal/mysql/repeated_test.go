package mysql_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/sales/internal/mysql"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// TestBatchWithRepeatedEventsIsApplied has an event twice in one batch, which MySQL refuses for some
// statements that MariaDB accepts.
func TestBatchWithRepeatedEventsIsApplied(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, testenv.Schema(t), mysql.Migrations())
	store := mysql.New(db, outbox.New("sales", db, broker.NewPublisher("", "test"), slog.New(slog.DiscardHandler), prometheus.NewRegistry()),
		func(context.Context, sale.Sale, bool) {})
	if err := db.Exec(`INSERT INTO sales (id, customer_id, status, hold, reserved, reason, items, currency, created_at, updated_at)
		VALUES (1, 5, 'Confirmed', false, true, '', '[{"productId":7,"quantity":2}]', 'USD', NOW(6), NOW(6))`).Error; err != nil {
		t.Fatal(err)
	}
	released := sale.Command{SaleID: 1, Event: event.StockReleased{SaleID: 1, Items: []event.Item{{ProductID: 7, Quantity: 2}}, ReleasedAt: time.Now()}}
	if err := store.Apply(t.Context(), []sale.Command{released, released}); err != nil {
		t.Fatal(err)
	}
	var entries []string
	if err := db.Raw("SELECT type FROM timeline").Scan(&entries).Error; err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0] != released.Event.EventType() {
		t.Errorf("the timeline is %v, want %s once", entries, released.Event.EventType())
	}
}

func TestDeadLetterIsStoredOnce(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, testenv.Schema(t), mysql.Migrations())
	store := mysql.New(db, nil, nil)
	letter := event.DeadLetter{Queue: "q", Reason: "rejected", MessageID: "1", Body: []byte("{}"), DiedAt: time.Now()}
	for range 2 {
		if err := store.StoreDeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := store.CountDeadLetters(t.Context()); n != 1 || err != nil {
		t.Errorf("%d dead letters (%v), want 1", n, err)
	}
}
