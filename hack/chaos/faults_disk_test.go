package main

import (
	"database/sql"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/testenv"
)

// startDatabase starts a database as startStore does, and returns a round with it.
func startDatabase(t *testing.T) *round {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server; not part of a -short run")
	}
	signal.Ignore(unix.SIGXFSZ)
	server, err := testenv.StartMySQL(t.Context(), append(spaceFlags, databaseFlags...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	db, err := openDatabase(server.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &round{db: db, store: &store{System: &local.System{MySQL: server}}}
}

// insertUntil inserts rows until one fails or there are n, and returns how many there are.
func insertUntil(t *testing.T, db *sql.DB, n int) (inserted int, err error) {
	t.Helper()
	for ; inserted < n && err == nil; inserted++ {
		_, err = db.ExecContext(t.Context(), "INSERT INTO shop.orders VALUES (?)", strings.Repeat("x", 4000))
	}
	return inserted, err
}

func TestDiskIsFullUntilTheFaultEnds(t *testing.T) {
	t.Parallel()
	r := startDatabase(t)
	for _, statement := range []string{"CREATE DATABASE shop", "CREATE TABLE shop.orders (content VARCHAR(5000))"} {
		if _, err := r.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for name, during := range map[string]func(){"a running server": func() {}, "a server that ends": r.store.MySQL.Kill} {
		end, err := fillDisk(t.Context(), r, fault{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n, err := insertUntil(t, r.db, 1000); err == nil {
			t.Errorf("%s: %d rows of 4 kB; want the error of a full disk", name, n)
		} else if !isDiskFull(err) {
			testenv.Eventually(t, "the server ends because it has no space to roll back, after "+err.Error(), r.store.MySQL.HasEnded)
		}
		during()
		if err := end(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n, err := insertUntil(t, r.db, 1000); err != nil {
			t.Errorf("%s, after the end of the fault: %v after %d rows", name, err, n)
		}
		var limit unix.Rlimit
		if err := unix.Prlimit(r.store.MySQL.PID, unix.RLIMIT_FSIZE, nil, &limit); err != nil || limit.Cur != limit.Max {
			t.Errorf("%s: the limit %+v remains (%v)", name, limit, err)
		}
		var tables int
		if err := r.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'chaos'").Scan(&tables); err != nil || tables != 0 {
			t.Errorf("%s: %d tables of the fault remain (%v)", name, tables, err)
		}
	}
}
