//go:build !race

// The race detector allocates, too.

package event_test

import (
	"encoding/json"
	"testing"

	"ecommerce-stack.dev/services/event"
)

// What an event may allocate on its way: an order is four of them, each written once
// and read once.
const (
	writeBudget = 9
	readBudget  = 26
)

var one = event.SaleCreated{SaleID: 42, CustomerID: 5, Items: []event.Item{{ProductID: 7, Quantity: 2}}}

func write(t testing.TB) []byte {
	e, err := event.New("sales", one, at, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func read(t testing.TB, body []byte) {
	e, err := event.Parse(body)
	if err == nil {
		_, err = event.Decode[event.SaleCreated](e)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAnEventStaysWithinItsBudget is not parallel: what other tests allocate would count.
func TestAnEventStaysWithinItsBudget(t *testing.T) { //nolint:paralleltest // see above
	body := write(t)
	if got := testing.AllocsPerRun(500, func() { write(t) }); got > writeBudget {
		t.Errorf("written: %.0f allocations, the budget is %d", got, writeBudget)
	}
	if got := testing.AllocsPerRun(500, func() { read(t, body) }); got > readBudget {
		t.Errorf("read: %.0f allocations, the budget is %d", got, readBudget)
	}
}

func BenchmarkEvent(b *testing.B) {
	body := write(b)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			write(b)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(b, body)
		}
	})
}
