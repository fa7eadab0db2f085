package database

import (
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
)

func TestServerEndsStatementAfterTimeout(t *testing.T) {
	t.Parallel()
	dsn := testenv.Schema(t)
	short, err := openPool(dsn, time.Second, lockWait)
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	long, err := openPool(dsn, time.Minute, lockWait)
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

// TestServerEndsSessionOfVanishedClient leaves a transaction open without a further packet,
// as a client does whose node has lost power. Its locks are free after the timeout.
func TestServerEndsSessionOfVanishedClient(t *testing.T) {
	t.Parallel()
	dsn := testenv.Schema(t)
	vanished, err := openPool(dsn, 2*time.Second, lockWait)
	if err != nil {
		t.Fatal(err)
	}
	defer vanished.Close()
	other, err := openPool(dsn, time.Minute, lockWait)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, statement := range []string{"CREATE TABLE goods (id INT PRIMARY KEY, n INT)", "INSERT INTO goods VALUES (1, 0)"} {
		if _, err := other.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := vanished.Begin()
	if err != nil {
		t.Fatal(err)
	}
	const increment = "UPDATE goods SET n = n + 1 WHERE id = 1"
	if _, err := tx.Exec(increment); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the row is not locked", func() bool {
		_, err := other.Exec(increment)
		return err == nil
	})
	var n int
	if err := other.QueryRow("SELECT n FROM goods").Scan(&n); err != nil || n != 1 {
		t.Errorf("n is %d, %v; want only the increment of the other client", n, err)
	}
	if err := tx.Commit(); err == nil {
		t.Error("a transaction was committed after its session had ended")
	}
}
