//go:build nightly

package testenv_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"ecommerce-stack.dev/hack/testenv"
)

// startGalera starts a cluster and returns a pool for each node.
func startGalera(t *testing.T) (*testenv.Cluster, []*sql.DB) {
	t.Helper()
	return startCluster(t, testenv.StartGalera, "--wsrep-sync-wait=7", "--innodb-flush-log-at-trx-commit=1")
}

// startCluster starts a cluster of which the first node accepts writes, and returns a pool for each node.
func startCluster(t *testing.T, start func(context.Context, ...string) (*testenv.Cluster, error), flags ...string) (*testenv.Cluster, []*sql.DB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	c, err := start(t.Context(), flags...)
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

// openPool returns a pool that does not log broken connections.
func openPool(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
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

// wantRows checks that every node gets a number of rows once all are synced.
func wantRows(t *testing.T, c *testenv.Cluster, dbs []*sql.DB, want int, when string) {
	t.Helper()
	if err := c.WaitUntilSynced(t.Context()); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	for i, db := range dbs {
		testenv.Eventually(t, fmt.Sprintf("%s: node %d has %d rows", when, i+1, want), func() bool { return count(t, db) == want })
	}
}

// TestNodesOfGaleraRejoinWithAllRows kills one node and then all.
func TestNodesOfGaleraRejoinWithAllRows(t *testing.T) {
	t.Parallel()
	c, dbs := startGalera(t)
	for i, db := range dbs {
		if err := insert(t, db, i); err != nil {
			t.Errorf("write through node %d: %v", i+1, err)
		}
	}
	wantRows(t, c, dbs, 3, "after writes through each node")
	for i, s := range c.Nodes {
		config, err := mysql.ParseDSN(s.DSN)
		if err != nil {
			t.Fatal(err)
		}
		if arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID)); err != nil || strings.Contains(string(arguments), config.Passwd) {
			t.Errorf("the password of node %d is an argument, which every user can read: %v", i+1, err)
		}
	}

	c.Nodes[0].Kill()
	testenv.Eventually(t, "two nodes accept writes without the third", func() bool { return insert(t, dbs[1], 3) == nil })
	if err := c.Nodes[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRows(t, c, dbs, 4, "after the restart of a killed node")

	killAll(t, c)
	wantRows(t, c, dbs, 4, "after all nodes were killed")
}

// killAll kills all nodes and starts them again.
func killAll(t *testing.T, c *testenv.Cluster) {
	t.Helper()
	for _, s := range c.Nodes {
		s.Kill()
	}
	if err := c.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPartitionsOfGaleraLoseNoRow(t *testing.T) {
	t.Parallel()
	c, dbs := startGalera(t)
	testPartitions(t, c, dbs, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_status'", "non-Primary")
}

// testPartitions isolates the node that is used, and then all nodes. statement is one to which a node responds
// with a name and noMajority when it knows that it has no majority.
func testPartitions(t *testing.T, c *testenv.Cluster, dbs []*sql.DB, statement, noMajority string) {
	t.Helper()
	isolate := func(nodes ...*testenv.MySQLServer) (end func()) {
		t.Helper()
		connect, err := c.Isolate(t.Context(), nodes...)
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			t.Helper()
			if err := connect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := balance(t, c, false)
	db := openPool(t, b.DSN)
	if err := insert(t, db, 1); err != nil {
		t.Fatal(err)
	}
	lost := b.Active()
	end := isolate(lost)
	if err := insert(t, dbs[slices.Index(c.Nodes, lost)], 2); err == nil {
		t.Error("a node without a majority accepted a write")
	}
	testenv.Eventually(t, "the majority accepts writes", func() bool { return insert(t, db, 3) == nil })
	if b.Active() == lost {
		t.Error("the balancer uses the isolated node")
	}
	end()
	wantRows(t, c, dbs, 2, "after the isolation of a node")

	end = isolate(c.Nodes...)
	for i, db := range dbs {
		testenv.Eventually(t, fmt.Sprintf("node %d knows that it has no majority", i+1), func() bool {
			var name, value string
			return db.QueryRowContext(t.Context(), statement).Scan(&name, &value) == nil && value == noMajority
		})
		if err := insert(t, db, 4); err == nil {
			t.Errorf("the isolated node %d accepted a write", i+1)
		}
	}
	end()
	// The write of before may be executed now.
	testenv.Eventually(t, "writes are accepted again", func() bool { return insert(t, db, 4) == nil })
	wantRows(t, c, dbs, 3, "after the isolation of all nodes")
}

func TestBalancerUsesSyncedNodes(t *testing.T) {
	t.Parallel()
	c, _ := startGalera(t)
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
