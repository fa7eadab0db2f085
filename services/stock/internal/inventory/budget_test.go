//go:build !race

// The race detector allocates, too.

package inventory_test

import (
	"testing"

	"ecommerce-stack.dev/services/event"
)

// saleBudget is what the decisions about one sale, its reservation and its removal, may
// allocate in a batch.
const saleBudget = 9

// batch decides a batch of sales of one line each, as a consumer's transaction does.
func batch(t testing.TB, sales int64) {
	book := open(2 * sales)
	for id := range sales {
		created := event.SaleCreated{SaleID: id + 1, CustomerID: 5, Items: []event.Item{{ProductID: 1, Quantity: 1}}}
		if _, ok := book.Reserve(created).(event.SaleItemsReservedResponse); !ok {
			t.Fatal("refused")
		}
		if _, err := book.Remove(event.SaleConfirmed{SaleID: id + 1, Items: created.Items}); err != nil {
			t.Fatal(err)
		}
	}
	if c := book.Close(); int64(len(c.Made)) != sales || c.Stocks[0].Removed != sales {
		t.Fatalf("%d reservations and %d removed, want %d", len(c.Made), c.Stocks[0].Removed, sales)
	}
}

// TestADecisionStaysWithinItsBudget is not parallel: what other tests allocate would
// count.
func TestADecisionStaysWithinItsBudget(t *testing.T) { //nolint:paralleltest // see above
	const sales = 64
	if got := testing.AllocsPerRun(100, func() { batch(t, sales) }) / sales; got > saleBudget {
		t.Errorf("%.1f allocations a sale, the budget is %d", got, saleBudget)
	}
}

func BenchmarkBook(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		batch(b, 64)
	}
}
