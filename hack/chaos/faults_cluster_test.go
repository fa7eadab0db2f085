//go:build nightly

package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/testenv"
)

// startGalera starts a cluster as startStore does, and returns a round with it.
func startGalera(t *testing.T) *round {
	t.Helper()
	return startCluster(t, testenv.StartGalera, galeraFlags)
}

func startCluster(t *testing.T, start func(context.Context, ...string) (*testenv.Cluster, error), flags []string) *round {
	t.Helper()
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	cluster, err := start(t.Context(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	balancer, err := cluster.Balance(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(balancer.Stop)
	db, err := openDatabase(balancer.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, statement := range []string{"CREATE DATABASE shop_service", "CREATE TABLE shop_service.orders (id INT PRIMARY KEY)"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return &round{db: db, store: &store{System: &local.System{Cluster: cluster, Balancer: balancer}}}
}

// write inserts a row, and fails after three seconds, before the lost node is replaced.
func write(t *testing.T, r *round) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := r.db.ExecContext(ctx, "INSERT INTO shop_service.orders SELECT COALESCE(MAX(id), 0) + 1 FROM shop_service.orders")
	return err
}

func TestFaultsOfGaleraStopWritesOnlyWithoutAMajority(t *testing.T) {
	t.Parallel()
	testFaultsOfNodes(t, startGalera(t))
}

// TestFaultsOfAGroupStopWritesOnlyWithoutAMajority needs MYSQLD.
func TestFaultsOfAGroupStopWritesOnlyWithoutAMajority(t *testing.T) {
	t.Parallel()
	testFaultsOfNodes(t, startCluster(t, testenv.StartGroup, groupFlags))
}

func testFaultsOfNodes(t *testing.T, r *round) {
	t.Helper()
	hasMajority := map[string]bool{"kill a node of": true, "pause a node of": true, "isolate a node of": true, "isolate all nodes of": false, "kill all nodes of": false}
	for _, k := range clusterKinds() {
		majority, ok := hasMajority[k.name]
		if !ok {
			continue
		}
		delete(hasMajority, k.name)
		end, err := k.inject(t.Context(), r, fault{Target: mysqlServer})
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		if majority {
			testenv.Eventually(t, k.name+": two nodes accept writes", func() bool { return write(t, r) == nil })
		} else if err := write(t, r); err == nil {
			t.Errorf("%s: a write was accepted without a majority", k.name)
		}
		if err := end(t.Context()); err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		testenv.Eventually(t, k.name+": writes are accepted after the fault", func() bool { return write(t, r) == nil })
		if found, err := r.compareNodes(t.Context()); err != nil || len(found) > 0 {
			t.Errorf("%s: after the fault the nodes differ: %v, %v", k.name, found, err)
		}
	}
	if len(hasMajority) > 0 {
		t.Errorf("there are no faults %v", hasMajority)
	}
}

func TestGaleraNodesWithDifferentRowsAreFound(t *testing.T) {
	t.Parallel()
	r := startGalera(t)
	db, err := openDatabase(r.store.Cluster.Nodes[2].DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range []string{"SET SESSION wsrep_on = OFF", "INSERT INTO shop_service.orders VALUES (7)"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	found, err := r.compareNodes(t.Context())
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Text, "nodes 1 and 3") || !strings.Contains(found[0].Text, "shop_service.orders") {
		t.Errorf("found %v, %v; want one difference of the nodes 1 and 3 in shop_service.orders", found, err)
	}
}
