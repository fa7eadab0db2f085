package messaging_test

import (
	"slices"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/sales/internal/messaging"
	"ecommerce-stack.dev/services/sales/internal/mysql"
)

func TestEventsOfLockedSalesAreFound(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, testenv.Schema(t), mysql.Migrations())
	handler := messaging.Handler{Store: mysql.New(db, nil, nil)}
	err := db.Exec(`INSERT INTO sales (id, customer_id, status, hold, reserved, reason, items, currency, created_at, updated_at)
		SELECT seq.id, 5, 'Pending', false, false, '', '[{"productId":7,"quantity":2}]', 'USD', NOW(6), NOW(6)
		FROM (SELECT 1 AS id UNION SELECT 2 UNION SELECT 3) seq`).Error
	if err != nil {
		t.Fatal(err)
	}
	var batch []event.Envelope
	for _, id := range []int64{3, 2, 1, 2, 4} {
		e, err := event.New("stock", event.StockCanceled{SaleID: id}, time.Now(), "")
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, e)
	}
	other := db.Begin()
	defer other.Rollback()
	if err := other.Exec("SELECT 1 FROM sales WHERE id = 2 FOR UPDATE").Error; err != nil {
		t.Fatal(err)
	}
	for _, wait := range []bool{false, true} {
		want := []bool{false, true, false, true, false}
		if got, err := handler.Locked(t.Context(), batch, wait); err != nil || !slices.Equal(got, want) {
			t.Errorf("wait %t: locked %v, %v; want %v", wait, got, err, want)
		}
	}
	if err := other.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	if got, err := handler.Locked(t.Context(), batch, false); err != nil || slices.Contains(got, true) {
		t.Errorf("without locks: %v, %v", got, err)
	}
}
