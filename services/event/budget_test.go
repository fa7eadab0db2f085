//go:build !race

// The race detector allocates, too.

package event_test

import (
	"encoding/json"
	"testing"

	"ecommerce-stack.dev/services/event"
)

// Allocation budgets per event. An order takes four events, each of which is encoded once
// and decoded once.
const (
	encodeBudget = 9
	decodeBudget = 26
)

var sampleEvent = event.SaleCreated{SaleID: 42, CustomerID: 5, Items: []event.Item{{ProductID: 7, Quantity: 2}}}

func encode(t testing.TB) []byte {
	e, err := event.New("sales", sampleEvent, at, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func decode(t testing.TB, body []byte) {
	e, err := event.Parse(body)
	if err == nil {
		_, err = event.Decode[event.SaleCreated](e)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEventAllocations is not parallel, because the allocations of other tests would be counted.
func TestEventAllocations(t *testing.T) { //nolint:paralleltest // see above
	body := encode(t)
	if got := testing.AllocsPerRun(500, func() { encode(t) }); got > encodeBudget {
		t.Errorf("encode: %.0f allocations, the budget is %d", got, encodeBudget)
	}
	if got := testing.AllocsPerRun(500, func() { decode(t, body) }); got > decodeBudget {
		t.Errorf("decode: %.0f allocations, the budget is %d", got, decodeBudget)
	}
}

func BenchmarkEvent(b *testing.B) {
	body := encode(b)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encode(b)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			decode(b, body)
		}
	})
}
