package database

import (
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/failure"
)

// TestClockBeforeFirstConnection runs a process whose clock is a day ahead. It is not parallel, because
// it replaces the clock of the process.
func TestClockBeforeFirstConnection(t *testing.T) { //nolint:paralleltest // see above
	right, known := SystemClock, current.Swap(nil)
	t.Cleanup(func() { SystemClock = right; current.Store(known) })
	SystemClock = func() time.Time { return right().Add(24 * time.Hour) }

	unreachable, err := Open("user:password@tcp(127.0.0.1:1)/none")
	if err != nil {
		t.Fatal(err)
	}
	if now, err := Clock(unreachable)(t.Context()); failure.KindOf(err) != failure.KindUnavailable {
		t.Errorf("the time without a database is %s, %v, want it to be unavailable", now, err)
	}
	db, err := Open(testenv.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Close(db) })
	if now, err := Clock(db)(t.Context()); err != nil || now.Sub(right()).Abs() > time.Minute {
		t.Errorf("the time is %s, %v, want that of the database", now, err)
	}
}

// TestSlowReadingOfTheClockIsRepeated lets the first statement take eight seconds by the clock of the process.
// It is not parallel, because it replaces that.
func TestSlowReadingOfTheClockIsRepeated(t *testing.T) { //nolint:paralleltest // see above
	right, known := SystemClock, current.Swap(nil)
	t.Cleanup(func() { SystemClock = right; current.Store(known) })
	for slow, want := range map[int]time.Duration{1: 0, 2: 0, 3: 4 * time.Second} {
		current.Store(nil)
		calls := 0
		SystemClock = func() time.Time {
			if calls++; calls%2 == 1 && calls < 2*slow {
				return right().Add(-8 * time.Second) // the beginning of a slow statement
			}
			return right()
		}
		db, err := Open(testenv.Schema(t))
		if err != nil {
			t.Fatal(err)
		}
		now, err := Clock(db)(t.Context())
		if err != nil || (now.Sub(right())-want).Abs() > 2*time.Second {
			t.Errorf("after %d slow statements the time is wrong by %s (%v), want about %s", slow, now.Sub(right()), err, want)
		}
		_ = Close(db)
	}
}
