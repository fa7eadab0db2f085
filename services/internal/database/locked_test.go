package database_test

import (
	"fmt"
	"testing"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/database"
)

// TestLockedRowsAreFound locks two rows of four; without one of them, a row that is released soon is not reported.
func TestLockedRowsAreFound(t *testing.T) {
	t.Parallel()
	db, err := database.Open(testenv.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	for _, statement := range []string{"CREATE TABLE notes (n BIGINT NOT NULL PRIMARY KEY)", "INSERT INTO notes VALUES (1), (2), (3), (4)"} {
		if err := db.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	lock := func(n int) *gorm.DB {
		tx := db.Begin()
		t.Cleanup(func() { tx.Rollback() })
		if err := tx.Exec("SELECT n FROM notes WHERE n = ? FOR UPDATE", n).Error; err != nil {
			t.Fatal(err)
		}
		return tx
	}
	check := func(wait bool, want string) {
		t.Helper()
		locked, err := database.LockedRows(t.Context(), db, "notes", "n", []int64{4, 2, 1, 1, 5}, wait)
		if got := fmt.Sprint(locked); err != nil || got != want {
			t.Errorf("wait %t: %s, %v; want %s", wait, got, err, want)
		}
	}
	second, fourth := lock(2), lock(4)
	lock(3)
	check(false, "map[2:true 4:true]")
	check(true, "map[2:true 4:true]")
	if err := second.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	check(false, "map[4:true]")
	released := make(chan error, 1)
	go func() {
		<-time.After(300 * time.Millisecond)
		released <- fourth.Rollback().Error
	}()
	check(true, "map[]")
	if err := <-released; err != nil {
		t.Fatal(err)
	}
	check(false, "map[]")
}
