package shop

import (
	"slices"
	"testing"
	"time"
)

// placeSale takes a slot and adds a sale with a quantity of 3.
func placeSale(t *testing.T, w *watcher, id int64, began time.Time) {
	t.Helper()
	if err := w.slots.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w.add(id, 3, began)
}

func TestDecisionBeforeResponseKeepsItsTime(t *testing.T) {
	w := newWatcher(nil, 0, 0, 1)
	began := time.Now()
	w.found(7, "Confirmed", began.Add(30*time.Millisecond))
	placeSale(t, w, 7, began)
	if !slices.Equal(w.latency, []float64{30}) {
		t.Errorf("latencies %v, want 30 ms", w.latency)
	}
	if w.decided["Confirmed"] != 1 || w.confirmedQuantity != 3 || w.pending != 0 || !w.slots.TryAcquire(1) {
		t.Errorf("decided %v with a quantity of %d, %d pending; want one with a quantity of 3, none pending, and a free slot", w.decided, w.confirmedQuantity, w.pending)
	}
}

func TestHoldIsReservedOnceAndDecidedLater(t *testing.T) {
	w := newWatcher(nil, 0, 0, 1)
	began := time.Now()
	placeSale(t, w, 1, began)
	w.found(1, "Pending", began.Add(10*time.Millisecond)) // reserved
	if err := w.reserved(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w.found(1, "Pending", began.Add(20*time.Millisecond))
	if w.pending != 1 || w.slots.TryAcquire(1) {
		t.Errorf("%d pending, want the hold to stay pending in its slot", w.pending)
	}
	for range 2 { // A poll can find a decision again.
		w.found(1, "Canceled", began.Add(90*time.Millisecond))
	}
	if !slices.Equal(w.latency, []float64{10}) {
		t.Errorf("latencies %v, want only that of the reservation, 10 ms", w.latency)
	}
	if w.decided["Canceled"] != 1 || w.confirmedQuantity != 0 || !w.slots.TryAcquire(1) {
		t.Errorf("decided %v with a quantity of %d; want one canceled sale, no quantity, and a free slot", w.decided, w.confirmedQuantity)
	}
}

func TestLowestPending(t *testing.T) {
	w := newWatcher(nil, 1000, 0, 0)
	check := func(what string, want int64) {
		t.Helper()
		if got := w.lowestPending(); got != want {
			t.Errorf("polls begin after %d %s, want %d", got, what, want)
		}
	}
	check("without sales", 1000)
	placeSale(t, w, 1001, time.Now())
	placeSale(t, w, 9000, time.Now())
	check("while sale 1001 is pending", 1000)
	w.found(1001, "Confirmed", time.Now())
	check("after its decision", 9000-overlap)
	if len(w.sales) != 1 {
		t.Errorf("%d sales are remembered, want only the pending one", len(w.sales))
	}
}
