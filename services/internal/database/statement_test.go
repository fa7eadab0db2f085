package database

import (
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
)

func TestAStatementThatNobodyWaitsForEnds(t *testing.T) {
	t.Parallel()
	dsn := testenv.Schema(t)
	hurried, err := openPool(dsn, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer hurried.Close()
	watching, err := openPool(dsn, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Close()
	var n int
	// The name tells the statement from those of other tests.
	if err := hurried.QueryRow("SELECT SLEEP(600) + 0*1234567").Scan(&n); err == nil && n == 0 {
		t.Fatal("it slept for ten minutes")
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := watching.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(600) + 0*1234567%'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the statement goes on")
		}
	}
}
