//go:build nightly

package testenv_test

import (
	"database/sql"
	"testing"

	"ecommerce-stack.dev/hack/testenv"
)

// startGroup starts a group, for which it needs MYSQLD, and returns a pool for each member.
func startGroup(t *testing.T) (*testenv.Cluster, []*sql.DB) {
	t.Helper()
	return startCluster(t, testenv.StartGroup, "--innodb-flush-log-at-trx-commit=1")
}

// TestGroupOfMySQLReplacesItsPrimaryMember also checks that the killed member rejoins with what it has missed.
func TestGroupOfMySQLReplacesItsPrimaryMember(t *testing.T) {
	t.Parallel()
	c, dbs := startGroup(t)
	b := balance(t, c, false)
	db := openPool(t, b.DSN)
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
	wantRows(t, c, dbs, 2, "after the restart of a killed member")
	for i, s := range c.Nodes {
		var readOnly bool
		if err := dbs[i].QueryRowContext(t.Context(), "SELECT @@super_read_only").Scan(&readOnly); err != nil || readOnly == (s == b.Active()) {
			t.Errorf("member %d is read-only: %t (%v), but only the active one must not be", i+1, readOnly, err)
		}
	}
}

func TestPartitionsOfAGroupOfMySQLLoseNoRow(t *testing.T) {
	t.Parallel()
	c, dbs := startGroup(t)
	testPartitions(t, c, dbs, "SELECT 'unreachable', COUNT(*) FROM performance_schema.replication_group_members WHERE member_state = 'UNREACHABLE'", "2")
}

// TestGroupOfMySQLRecoversWithAllRows kills all members, of which one has missed a row.
func TestGroupOfMySQLRecoversWithAllRows(t *testing.T) {
	t.Parallel()
	c, dbs := startGroup(t)
	if err := insert(t, dbs[0], 1); err != nil {
		t.Fatal(err)
	}
	c.Nodes[0].Kill()
	b := balance(t, c, false)
	testenv.Eventually(t, "another member accepts writes", func() bool { return insert(t, openPool(t, b.DSN), 2) == nil })
	killAll(t, c)
	wantRows(t, c, dbs, 2, "after all members were killed")
	testenv.Eventually(t, "writes are accepted again", func() bool { return insert(t, openPool(t, b.DSN), 3) == nil })
	wantRows(t, c, dbs, 3, "after writes to the recovered group")
}
