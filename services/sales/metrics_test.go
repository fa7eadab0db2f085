package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// fakeRows returns what a test sets.
type fakeRows struct {
	letters int64
	oldest  time.Time
	err     error
}

func (f fakeRows) CountDeadLetters(context.Context) (int64, error)    { return f.letters, f.err }
func (f fakeRows) OldestUndecided(context.Context) (time.Time, error) { return f.oldest, f.err }

func TestDecisionsAreCounted(t *testing.T) {
	t.Parallel()
	m := newMetrics(prometheus.NewRegistry())
	if n := testutil.CollectAndCount(m.decisions); n != len(outcomes) {
		t.Errorf("%d series before the first decision, want %d", n, len(outcomes))
	}
	created := time.Now()
	m.recordDecision(sale.Sale{Status: sale.Confirmed, CreatedAt: created, UpdatedAt: created.Add(time.Second)})
	m.recordDecision(sale.Sale{Status: sale.Canceled, Reason: event.ReasonExpired, Hold: true, CreatedAt: created, UpdatedAt: created.Add(time.Minute)})
	for _, c := range []struct{ status, reason string }{{"Confirmed", ""}, {"Canceled", "expired"}} {
		if n := testutil.ToFloat64(m.decisions.WithLabelValues(c.status, c.reason)); n != 1 {
			t.Errorf("%s %s: %v decisions, want 1", c.status, c.reason, n)
		}
	}
	if n := testutil.CollectAndCount(m.decisions); n != len(outcomes) {
		t.Errorf("%d series after known decisions, want %d as before", n, len(outcomes))
	}
}

func TestRowsAreMeasured(t *testing.T) {
	t.Parallel()
	m := newMetrics(prometheus.NewRegistry())
	if err := m.update(t.Context(), fakeRows{letters: 3, oldest: time.Now().Add(-time.Minute)}); err != nil {
		t.Fatal(err)
	}
	if n, age := testutil.ToFloat64(m.deadLetters), m.undecidedSeconds(); n != 3 || age < 60 || age > 120 {
		t.Errorf("%v dead letters, oldest sale %v s, want 3 and about 60", n, age)
	}
	failed := errors.New("no database")
	if err := m.update(t.Context(), fakeRows{err: failed}); !errors.Is(err, failed) {
		t.Errorf("error %v, want %v", err, failed)
	}
	if n, age := testutil.ToFloat64(m.deadLetters), m.undecidedSeconds(); n != 3 || age < 60 {
		t.Errorf("after a failure: %v dead letters, oldest sale %v s, want them as before", n, age)
	}
	if err := m.update(t.Context(), fakeRows{}); err != nil {
		t.Fatal(err)
	}
	if n, age := testutil.ToFloat64(m.deadLetters), m.undecidedSeconds(); n != 0 || age != 0 {
		t.Errorf("%v dead letters, oldest sale %v s, want 0 and 0", n, age)
	}
}

func TestRepeatedCommandsAreCounted(t *testing.T) {
	t.Parallel()
	m := newMetrics(prometheus.NewRegistry())
	if n := testutil.CollectAndCount(m.repeated); n != 3 {
		t.Errorf("%d series before the first repetition, want 3", n)
	}
	m.recordRepeated(map[string]int{event.SaleCreatedType: 2, event.SaleCanceledType: 1})
	if created, confirmed := testutil.ToFloat64(m.repeated.WithLabelValues(event.SaleCreatedType)),
		testutil.ToFloat64(m.repeated.WithLabelValues(event.SaleConfirmedType)); created != 2 || confirmed != 0 {
		t.Errorf("%v SaleCreated and %v SaleConfirmed, want 2 and 0", created, confirmed)
	}
}
