package shop

import (
	"testing"
	"time"
)

// still is a watch that nobody lets look.
func still(after int64, window int) *Watch {
	return &Watch{pending: map[int64]*Placed{}, early: map[int64]seen{}, highest: after + slack, decided: map[string]int64{},
		places: make(chan struct{}, window), finished: make(chan struct{}), began: time.Now()}
}

func place(t *testing.T, w *Watch, p *Placed) {
	t.Helper()
	if err := w.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Add(p)
}

func TestADecisionSeenBeforeTheAnswerIsDatedWhenItWasSeen(t *testing.T) {
	w := still(0, 4)
	began := time.Now()
	w.early[7] = seen{"Confirmed", began.Add(30 * time.Millisecond)}
	place(t, w, &Placed{ID: 7, Goods: 3, Began: began})
	if got := w.Latencies(); len(got) != 1 || got[0] != 30 {
		t.Errorf("latencies %v, want 30 ms", got)
	}
	if w.decided["Confirmed"] != 1 || w.goods != 3 || len(w.pending) != 0 || len(w.places) != 0 {
		t.Errorf("decided %v with %d goods, %d pending in %d places; want one with 3 goods and nothing pending", w.decided, w.goods, len(w.pending), len(w.places))
	}
}

func TestAHeldSaleIsAnsweredOnceAndDecidedLater(t *testing.T) {
	w := still(0, 4)
	began := time.Now()
	p := &Placed{ID: 1, Hold: true, Goods: 2, Began: began}
	place(t, w, p)
	w.saw(p, "Pending", began.Add(10*time.Millisecond)) // reserved
	if err := w.Reserved(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.saw(p, "Pending", began.Add(20*time.Millisecond))
	if len(w.pending) != 1 || len(w.places) != 1 {
		t.Errorf("%d pending in %d places, want the held sale to stay", len(w.pending), len(w.places))
	}
	w.saw(p, "Canceled", began.Add(90*time.Millisecond))
	if got := w.Latencies(); len(got) != 1 || got[0] != 10 {
		t.Errorf("latencies %v, want only that of the reservation, 10 ms", got)
	}
	if w.decided["Canceled"] != 1 || w.goods != 0 || len(w.places) != 0 {
		t.Errorf("decided %v with %d goods, %d places taken; want one canceled sale, no goods, no place", w.decided, w.goods, len(w.places))
	}
}

func TestNoSaleIsOverlooked(t *testing.T) {
	w := still(1000, 4)
	if low := w.low(); low != 1000 {
		t.Errorf("looks begin after %d, want 1000", low)
	}
	place(t, w, &Placed{ID: 1001})
	place(t, w, &Placed{ID: 9000})
	if low := w.low(); low != 1000 {
		t.Errorf("looks begin after %d while sale 1001 is pending, want 1000", low)
	}
	w.saw(w.pending[1001], "Confirmed", time.Now())
	if low := w.low(); low != 9000-slack {
		t.Errorf("looks begin after %d, want %d: somebody may not have heard of his sale yet", low, 9000-slack)
	}
}
