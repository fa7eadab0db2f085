//go:build nightly

package testenv_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
)

// startCluster starts a cluster and returns a pool for each node.
func startCluster(t *testing.T) (*testenv.Cluster, []*sql.DB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	c, err := testenv.StartGalera(t.Context(), "--wsrep-sync-wait=7", "--innodb-flush-log-at-trx-commit=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	dbs := make([]*sql.DB, len(c.Nodes))
	for i, s := range c.Nodes {
		dbs[i] = openPool(t, s.DSN)
	}
	if _, err := dbs[0].ExecContext(t.Context(), "CREATE DATABASE shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := dbs[0].ExecContext(t.Context(), "CREATE TABLE shop.orders (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	return c, dbs
}

func openPool(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// insert inserts a row unless it exists, and fails after ten seconds.
func insert(t *testing.T, db *sql.DB, id int) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := db.ExecContext(ctx, "INSERT IGNORE INTO shop.orders VALUES (?)", id)
	return err
}

func count(t *testing.T, db *sql.DB) (rows int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM shop.orders").Scan(&rows); err != nil {
		t.Error(err)
	}
	return rows
}

// wantRows checks the rows of every node once all are synced.
func wantRows(t *testing.T, c *testenv.Cluster, dbs []*sql.DB, want int, when string) {
	t.Helper()
	if err := c.WaitUntilSynced(t.Context()); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	for i, db := range dbs {
		if got := count(t, db); got != want {
			t.Errorf("%s: node %d has %d rows, want %d", when, i+1, got, want)
		}
	}
}

// TestNodesOfGaleraRejoinWithAllRows kills one node and then all, and isolates one.
func TestNodesOfGaleraRejoinWithAllRows(t *testing.T) {
	t.Parallel()
	c, dbs := startCluster(t)
	for i, db := range dbs {
		if err := insert(t, db, i); err != nil {
			t.Errorf("write through node %d: %v", i+1, err)
		}
	}
	wantRows(t, c, dbs, 3, "after writes through each node")

	c.Nodes[0].Kill()
	testenv.Eventually(t, "two nodes accept writes without the third", func() bool { return insert(t, dbs[1], 3) == nil })
	if err := c.Nodes[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRows(t, c, dbs, 4, "after the restart of a killed node")

	end, err := c.Isolate(t.Context(), c.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := insert(t, dbs[0], 4); err == nil {
		t.Error("a node without a majority accepted a write")
	}
	testenv.Eventually(t, "the majority accepts writes", func() bool { return insert(t, dbs[2], 5) == nil })
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRows(t, c, dbs, 5, "after a partition")

	for _, s := range c.Nodes {
		s.Kill()
	}
	if err := c.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRows(t, c, dbs, 5, "after all nodes were killed")
}

func TestBalancerUsesSyncedNodes(t *testing.T) {
	t.Parallel()
	c, _ := startCluster(t)
	spread, one := balance(t, c, true), balance(t, c, false)
	nodes := map[int]int{}
	for range 2 * len(c.Nodes) {
		nodes[portOf(t, spread)]++
	}
	if len(nodes) != len(c.Nodes) {
		t.Errorf("connections by port: %v, want some to each of %d nodes", nodes, len(c.Nodes))
	}
	first := portOf(t, one)
	if again := portOf(t, one); again != first {
		t.Errorf("the node with the port %d follows that with the port %d, although no node was lost", again, first)
	}
	conn, err := openPool(t, one.DSN).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lost := one.Active()
	if want := fmt.Sprintf("127.0.0.1:%d", first); lost.Address != want {
		t.Errorf("the active node is %s, want %s", lost.Address, want)
	}
	end, err := c.Isolate(t.Context(), lost)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "connections to a lost node end", func() bool { return conn.PingContext(t.Context()) != nil })
	testenv.Eventually(t, "a lost node is replaced", func() bool { return insert(t, openPool(t, one.DSN), 1) == nil })
	if one.Active() == lost {
		t.Error("the node is used although it is isolated")
	}
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func balance(t *testing.T, c *testenv.Cluster, spread bool) *testenv.Balancer {
	t.Helper()
	b, err := c.Balance(spread)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// portOf returns the port of the node that a new connection leads to.
func portOf(t *testing.T, b *testenv.Balancer) (port int) {
	t.Helper()
	db, err := sql.Open("mysql", b.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "SELECT @@port").Scan(&port); err != nil {
		t.Fatal(err)
	}
	return port
}
