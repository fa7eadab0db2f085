//go:build !race

// The race detector allocates, too.

package inventory_test

import (
	"testing"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// saleBudget is the allocation budget for the reservation and the removal of one sale in a
// batch.
const saleBudget = 9

// batch reserves and removes a batch of sales with one line each.
func batch(t testing.TB, sales int64) {
	work := open(2 * sales)
	for id := range sales {
		if _, ok := work.Reserve(id+1, 5, []inventory.Line{{ProductID: 1, Quantity: 1}}).(event.SaleItemsReservedResponse); !ok {
			t.Fatal("rejected")
		}
		if _, err := work.Remove(id + 1); err != nil {
			t.Fatal(err)
		}
	}
	if c := work.Changes(); int64(len(c.Inserted)) != sales || c.Stocks[0].Removed != sales {
		t.Fatalf("%d reservations and %d removed, want %d", len(c.Inserted), c.Stocks[0].Removed, sales)
	}
}

// TestSaleAllocations is not parallel, because the allocations of other tests would be
// counted.
func TestSaleAllocations(t *testing.T) { //nolint:paralleltest // see above
	const sales = 64
	if got := testing.AllocsPerRun(100, func() { batch(t, sales) }) / sales; got > saleBudget {
		t.Errorf("%.1f allocations per sale, the budget is %d", got, saleBudget)
	}
}

func BenchmarkUnitOfWork(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		batch(b, 64)
	}
}
