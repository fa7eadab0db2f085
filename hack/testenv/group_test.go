//go:build nightly

package testenv_test

import (
	"testing"

	"ecommerce-stack.dev/hack/testenv"
)

// TestGroupOfMySQLReplacesItsPrimaryMember needs MYSQLD. The killed member rejoins with what it has missed.
func TestGroupOfMySQLReplacesItsPrimaryMember(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	c, err := testenv.StartGroup(t.Context(), "--innodb-flush-log-at-trx-commit=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	b := balance(t, c, false)
	db := openPool(t, b.DSN)
	for _, statement := range []string{"CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY)"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := insert(t, db, 1); err != nil {
		t.Fatal(err)
	}
	lost := b.Active()
	lost.Kill()
	testenv.Eventually(t, "another member accepts writes", func() bool { return insert(t, db, 2) == nil })
	if b.Active() == lost {
		t.Error("the balancer uses the killed member")
	}
	if err := lost.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitUntilSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, s := range c.Nodes {
		node := openPool(t, s.DSN)
		testenv.Eventually(t, "every member has both rows", func() bool { return count(t, node) == 2 })
		var readOnly bool
		if err := node.QueryRowContext(t.Context(), "SELECT @@super_read_only").Scan(&readOnly); err != nil || readOnly == (s == b.Active()) {
			t.Errorf("member %d is read-only: %t (%v), but only the active one must not be", i+1, readOnly, err)
		}
	}
}
