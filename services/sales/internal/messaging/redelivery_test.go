package messaging_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"
	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/sagatest"
	"ecommerce-stack.dev/services/sales/internal/messaging"
	"ecommerce-stack.dev/services/sales/internal/mysql"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

const saleID, customerID = 42, 5

// history is what happens to a pending sale.
type history struct {
	hold  bool
	steps []sagatest.Step
}

// histories returns the events of one sale that sales receives, and the requests that change
// the sale.
func histories(t *testing.T, db *gorm.DB, s *mysql.Store) map[string]history {
	items := []event.Item{{ProductID: 7, Quantity: 2}}
	reserved := sagatest.Step{Event: event.SaleItemsReservedResponse{SaleID: saleID, CustomerID: customerID,
		ItemsReserved: []event.PricedItem{{ProductID: 7, Quantity: 2, Price: decimal.RequireFromString("19.99")}}}}
	rejected := sagatest.Step{Event: event.SaleCreationFailed{SaleID: saleID, CustomerID: customerID, Reason: event.ReasonInsufficientStock,
		Shortages: []event.Shortage{{ProductID: 7, Requested: 2, Available: 1}}}}
	released := sagatest.Step{Event: event.StockReleased{SaleID: saleID, Items: items, ReleasedAt: time.Now()}}
	returned := sagatest.Step{Event: event.StockCanceled{SaleID: saleID, Items: items}}
	confirm := sagatest.Step{Request: func() error { _, err := s.Confirm(t.Context(), saleID, customerID); return err }}
	cancel := sagatest.Step{Request: func() error { return s.Cancel(t.Context(), saleID, customerID) }}
	expire := sagatest.Step{Request: func() error {
		if err := db.Exec("UPDATE sales SET expires_at = NOW(6) WHERE expires_at IS NOT NULL").Error; err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for { // Expire skips a sale that another transaction has locked.
			if n, err := s.Expire(ctx); n > 0 || err != nil {
				return err
			}
		}
	}}
	after := func(step sagatest.Step, causes ...int) sagatest.Step {
		step.After = causes
		return step
	}
	return map[string]history{
		"confirmed":             {false, []sagatest.Step{reserved, after(released, 0)}},
		"rejected":              {false, []sagatest.Step{rejected}},
		"canceled and reserved": {false, []sagatest.Step{cancel, after(reserved, 0), after(returned, 0)}},
		"canceled and rejected": {false, []sagatest.Step{cancel, after(rejected, 0), after(returned, 0)}},
		"held and confirmed":    {true, []sagatest.Step{reserved, after(confirm, 0), after(released, 1)}},
		"held and canceled":     {true, []sagatest.Step{reserved, cancel, after(returned, 1)}},
		"held and expired":      {true, []sagatest.Step{reserved, expire, after(returned, 1)}},
	}
}

// forEachHistory runs check as a parallel subtest for each history.
func forEachHistory(t *testing.T, check func(*testing.T, sagatest.Service, []sagatest.Step)) {
	t.Helper()
	for name := range histories(t, nil, nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
			db := databasetest.Open(t, testenv.Schema(t), mysql.Migrations())
			store := mysql.New(db, outbox.New("sales", db, broker.NewPublisher("", "test"), quiet, prometheus.NewRegistry()), func(context.Context, sale.Sale, bool) {})
			h := histories(t, db, store)[name]
			check(t, sagatest.Service{DB: db, Handler: messaging.Handler{Store: store}, Tables: []string{"sales", "timeline"}, Reset: func(t *testing.T) {
				t.Helper()
				for _, statement := range []string{"DELETE FROM sales", "DELETE FROM timeline", "DELETE FROM outbox",
					fmt.Sprintf(`INSERT INTO sales (id, customer_id, status, hold, reserved, reason, items, currency, created_at, updated_at, expires_at)
						VALUES (%d, %d, 'Pending', %t, false, '', '[{"productId":7,"quantity":2}]', 'USD', NOW(6), NOW(6), IF(%[3]t, NOW(6) + INTERVAL 1 HOUR, NULL))`,
						saleID, customerID, h.hold)} {
					if err := db.Exec(statement).Error; err != nil {
						t.Fatal(err)
					}
				}
			}}, h.steps)
		})
	}
}

func TestRedeliveredEventsHaveOneEffect(t *testing.T) {
	t.Parallel()
	forEachHistory(t, func(t *testing.T, s sagatest.Service, steps []sagatest.Step) {
		t.Helper()
		s.CheckSerial(t, steps)
	})
}

func TestEventsRedeliveredToReplicasHaveOneEffect(t *testing.T) {
	t.Parallel()
	forEachHistory(t, func(t *testing.T, s sagatest.Service, steps []sagatest.Step) {
		t.Helper()
		s.CheckConcurrent(t, steps)
	})
}
