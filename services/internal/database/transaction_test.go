package database_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/failure"
)

// suspended is the context of a process that was suspended: its deadline has passed, and its
// timer has not fired yet.
type suspended struct{ context.Context }

func (suspended) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

func TestTransactionDoesNotCommitAfterItsDeadline(t *testing.T) {
	t.Parallel()
	db, err := database.Open(testenv.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	if err := db.Exec("CREATE TABLE notes (n INT NOT NULL PRIMARY KEY)").Error; err != nil {
		t.Fatal(err)
	}
	insert := func(n int) func(*gorm.DB) error {
		return func(tx *gorm.DB) error { return tx.Exec("INSERT INTO notes VALUES (?)", n).Error }
	}
	inTime, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := database.Transact(inTime, db, insert(1)); err != nil {
		t.Errorf("before the deadline: %v", err)
	}
	if err := database.Transact(suspended{t.Context()}, db, insert(2)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v, want context.DeadlineExceeded", err)
	}
	ending, end := context.WithTimeout(t.Context(), time.Hour)
	defer end()
	err = database.Transact(ending, db, func(tx *gorm.DB) error {
		err := insert(3)(tx)
		end()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before the commit: %v, want context.Canceled", err)
	}
	var committed []int
	if err := db.Raw("SELECT n FROM notes").Scan(&committed).Error; err != nil {
		t.Fatal(err)
	}
	if len(committed) != 1 || committed[0] != 1 {
		t.Errorf("committed %v, want 1", committed)
	}
}

func TestTransactionIsRetriedAfterConflicts(t *testing.T) {
	t.Parallel()
	db, err := database.Open(testenv.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	conflict := fmt.Errorf("write: %w", database.ErrRetry)
	for conflicts, want := range map[int]error{0: nil, 3: nil, 7: nil, 8: conflict} {
		attempts := 0
		err := database.Transact(t.Context(), db, func(*gorm.DB) error {
			if attempts++; attempts <= conflicts {
				return conflict
			}
			return nil
		})
		if want == nil && (err != nil || attempts != conflicts+1) {
			t.Errorf("%d conflicts: error %v after %d attempts, want success", conflicts, err, attempts)
		}
		if want != nil && (!errors.Is(err, want) || failure.KindOf(err) != failure.KindUnavailable || attempts != conflicts) {
			t.Errorf("%d conflicts: error %v after %d attempts, want it unavailable", conflicts, err, attempts)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = database.Transact(ctx, db, func(*gorm.DB) error { cancel(); return conflict })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the context ends during the back-off: error %v, want %v", err, context.Canceled)
	}
}

func TestConflictsAreCounted(t *testing.T) {
	t.Parallel()
	db, err := database.Open(testenv.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	reg := prometheus.NewRegistry()
	if err := database.RegisterMetrics(db, "test", reg); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"deadlock", "lock_wait", "write"} {
		if _, ok := conflicts(t, reg)[kind]; !ok {
			t.Errorf("no counter of kind %s before the first conflict", kind)
		}
	}
	if err := db.Exec("CREATE TABLE numbers (n INT NOT NULL PRIMARY KEY, v INT NOT NULL)").Error; err != nil {
		t.Fatal(err)
	}
	if err := db.Exec("INSERT INTO numbers VALUES (1, 0), (2, 0)").Error; err != nil {
		t.Fatal(err)
	}
	before := conflicts(t, reg)

	// Two transactions lock the rows in opposite orders, the first attempts at the same time.
	var both sync.WaitGroup
	both.Add(2)
	lock := func(first, second int) error {
		attempts := 0
		return database.Transact(t.Context(), db, func(tx *gorm.DB) error {
			if err := tx.Exec("UPDATE numbers SET v = v + 1 WHERE n = ?", first).Error; err != nil {
				return err
			}
			if attempts++; attempts == 1 {
				both.Done()
				both.Wait()
			}
			return tx.Exec("UPDATE numbers SET v = v + 1 WHERE n = ?", second).Error
		})
	}
	other := make(chan error, 1)
	go func() { other <- lock(2, 1) }()
	if err := errors.Join(lock(1, 2), <-other); err != nil {
		t.Fatal(err)
	}
	if err := database.Transact(t.Context(), db, func() func(*gorm.DB) error {
		again := true
		return func(*gorm.DB) error {
			if again {
				again = false
				return database.ErrRetry
			}
			return nil
		}
	}()); err != nil {
		t.Fatal(err)
	}
	after := conflicts(t, reg)
	for _, kind := range []string{"deadlock", "write"} {
		if after[kind] <= before[kind] {
			t.Errorf("%s: %v conflicts, and %v before", kind, after[kind], before[kind])
		}
	}
}

// conflicts returns the values of ecommerce_database_conflicts_total by kind.
func conflicts(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() == "ecommerce_database_conflicts_total" {
			for _, m := range family.GetMetric() {
				values[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return values
}
