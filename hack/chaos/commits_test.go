package main

import (
	"database/sql"
	"testing"

	"github.com/go-sql-driver/mysql"

	"ecommerce-stack.dev/hack/testenv"
)

// TestConnectionIsLostDuringCommit also checks what the database has after that.
func TestConnectionIsLostDuringCommit(t *testing.T) {
	t.Parallel()
	r := startDatabase(t)
	for _, statement := range []string{"CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT)"} {
		if _, err := r.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	proxy, err := newCommits(r.store.MySQL.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.stop)
	config, err := mysql.ParseDSN(r.store.MySQL.DSN)
	if err != nil {
		t.Fatal(err)
	}
	config.Addr, config.DBName, config.Logger = proxy.address(), "shop", &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	always := func() bool { return true }
	transact := func() error {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO orders VALUES (1)"); err != nil {
			t.Fatalf("a statement in a transaction: %v", err)
		}
		return tx.Commit()
	}
	single := func() error {
		_, err := db.ExecContext(t.Context(), "INSERT INTO orders VALUES (1)")
		return err
	}
	count := func(query string) (n int) {
		if err := r.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, write := range map[string]func() error{"COMMIT": transact, "a single statement": single} {
		for when, want := range map[moment]int{never: 1, beforeCommit: 0, afterCommit: 1} {
			if _, err := r.db.ExecContext(t.Context(), "DELETE FROM shop.orders"); err != nil {
				t.Fatal(err)
			}
			cut := proxy.ended.Load()
			end := proxy.interrupt(when, always)
			err := write()
			end()
			if (err == nil) != (when == never) || proxy.ended.Load()-cut != int64(min(when, 1)) {
				t.Errorf("%s, moment %d: error %v, %d connections ended", name, when, err, proxy.ended.Load()-cut)
			}
			testenv.Eventually(t, "the server has ended the transaction", func() bool { return count("SELECT COUNT(*) FROM information_schema.innodb_trx") == 0 })
			if got := count("SELECT COUNT(*) FROM shop.orders"); got != want {
				t.Errorf("%s, moment %d: %d rows are committed, want %d", name, when, got, want)
			}
		}
	}
	defer proxy.interrupt(beforeCommit, always)()
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM orders").Scan(new(int)); err != nil {
		t.Errorf("a read: %v", err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Errorf("a ROLLBACK: %v", err)
	}
}
