package shop

import (
	"testing"
	"time"
)

// newIdleWatcher returns a watcher that does not poll.
func newIdleWatcher(after int64, window int) *SaleWatcher {
	return &SaleWatcher{pending: map[int64]*PlacedSale{}, earlyDecisions: map[int64]decision{}, highest: after + overlap, decided: map[string]int64{},
		slots: make(chan struct{}, window), finished: make(chan struct{}), began: time.Now()}
}

func place(t *testing.T, w *SaleWatcher, p *PlacedSale) {
	t.Helper()
	if err := w.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Add(p)
}

func TestEarlyDecisionKeepsItsTime(t *testing.T) {
	w := newIdleWatcher(0, 4)
	began := time.Now()
	w.earlyDecisions[7] = decision{"Confirmed", began.Add(30 * time.Millisecond)}
	place(t, w, &PlacedSale{ID: 7, Quantity: 3, Began: began})
	if got := w.Latencies(); len(got) != 1 || got[0] != 30 {
		t.Errorf("latencies %v, want 30 ms", got)
	}
	if w.decided["Confirmed"] != 1 || w.confirmedQuantity != 3 || len(w.pending) != 0 || len(w.slots) != 0 {
		t.Errorf("decided %v with a quantity of %d, %d pending in %d slots; want one with a quantity of 3 and none pending", w.decided, w.confirmedQuantity, len(w.pending), len(w.slots))
	}
}

func TestHoldIsReservedOnceAndDecidedLater(t *testing.T) {
	w := newIdleWatcher(0, 4)
	began := time.Now()
	p := &PlacedSale{ID: 1, Hold: true, Quantity: 2, Began: began}
	place(t, w, p)
	w.record(p, "Pending", began.Add(10*time.Millisecond)) // reserved
	if err := w.Reserved(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.record(p, "Pending", began.Add(20*time.Millisecond))
	if len(w.pending) != 1 || len(w.slots) != 1 {
		t.Errorf("%d pending in %d slots, want the hold to stay pending", len(w.pending), len(w.slots))
	}
	w.record(p, "Canceled", began.Add(90*time.Millisecond))
	if got := w.Latencies(); len(got) != 1 || got[0] != 10 {
		t.Errorf("latencies %v, want only that of the reservation, 10 ms", got)
	}
	if w.decided["Canceled"] != 1 || w.confirmedQuantity != 0 || len(w.slots) != 0 {
		t.Errorf("decided %v with a quantity of %d, %d slots in use; want one canceled sale, no quantity, no slot", w.decided, w.confirmedQuantity, len(w.slots))
	}
}

func TestLowestPending(t *testing.T) {
	w := newIdleWatcher(1000, 4)
	if lowestPending := w.lowestPending(); lowestPending != 1000 {
		t.Errorf("polls begin after %d, want 1000", lowestPending)
	}
	place(t, w, &PlacedSale{ID: 1001})
	place(t, w, &PlacedSale{ID: 9000})
	if lowestPending := w.lowestPending(); lowestPending != 1000 {
		t.Errorf("polls begin after %d while sale 1001 is pending, want 1000", lowestPending)
	}
	w.record(w.pending[1001], "Confirmed", time.Now())
	if lowestPending := w.lowestPending(); lowestPending != 9000-overlap {
		t.Errorf("polls begin after %d, want %d", lowestPending, 9000-overlap)
	}
}
