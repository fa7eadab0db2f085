package database

import (
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
)

func TestServerEndsStatementAfterTimeout(t *testing.T) {
	t.Parallel()
	dsn := testenv.Schema(t)
	short, err := openPool(dsn, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	long, err := openPool(dsn, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	var n int
	// The statement runs for a minute and does not check its connection.
	began := time.Now()
	_ = short.QueryRow("SELECT BENCHMARK(100000000, SHA2('statement timeout', 512))").Scan(&n) // The client or the server ends it.
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("the client waited for %s", took)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if err := long.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT BENCHMARK%statement timeout%'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the statement still runs at the server")
		}
	}
}
