//go:build !race

// The race detector allocates, too.

package sale_test

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// orderBudget is the allocation budget of the domain for an order of one line, from the
// request to its confirmation.
const orderBudget = 13

func order(t testing.TB) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	s, err := sale.New(5, []sale.Item{{ProductID: 7, Quantity: 2}}, false, "USD", now, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s.ID = 42
	s.Created()
	confirmed, _ := s.ApplyReserved(event.SaleItemsReservedResponse{SaleID: 42,
		ItemsReserved: []event.PricedItem{{ProductID: 7, Quantity: 2, Price: decimal.New(1999, -2)}}}, now)
	if confirmed == nil {
		t.Fatal("not confirmed")
	}
}

// TestOrderAllocations is not parallel, because the allocations of other tests would be counted.
func TestOrderAllocations(t *testing.T) { //nolint:paralleltest // see above
	if got := testing.AllocsPerRun(500, func() { order(t) }); got > orderBudget {
		t.Errorf("%.0f allocations, the budget is %d", got, orderBudget)
	}
}

func BenchmarkOrder(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		order(b)
	}
}
