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
	// It works for a minute and never looks whether its client is still there.
	began := time.Now()
	_ = hurried.QueryRow("SELECT BENCHMARK(100000000, SHA2('nobody waits', 512))").Scan(&n) // ended by either side
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("it was waited for %s", took)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if err := watching.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT BENCHMARK%nobody waits%'").Scan(&n); err != nil {
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
