package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ecommerce-stack.dev/hack/testenv"
)

// maxIsolation is longer than a cluster needs until it removes a node whose packets vanish and continues without it:
// 5 to 15 s with Galera, and up to 25 s with group replication.
const maxIsolation = 30 * time.Second

// clusterKinds are faults of a cluster. Its nodes are one resource, because the loss of two would
// leave no majority.
func clusterKinds() []kind {
	target := []string{mysqlServer}
	return []kind{
		{"kill a node of", target, 0, 5 * time.Second, killNode},
		{"pause a node of", target, time.Second, 12 * time.Second, pauseNode},
		{"isolate a node of", target, time.Second, maxIsolation, isolateNode},
		{"isolate all nodes of", target, time.Second, maxIsolation, isolateNodes},
		{"kill all nodes of", target, 0, time.Second, killNodes},
		{"kill connections of", target, 2 * time.Second, 5 * time.Second, killConnections},
		{"lock rows of", target, 3 * time.Second, 8 * time.Second, lockRows},
	}
}

// nodeOf returns the node of a fault: mostly the one that the services use.
func (r *round) nodeOf(f fault) *testenv.MySQLServer {
	random := rand.New(rand.NewPCG(f.Seed, 5))
	if node := r.store.Cluster.Nodes[random.IntN(len(r.store.Cluster.Nodes))]; random.IntN(3) == 0 {
		return node
	}
	return r.store.Balancer.Active()
}

func killNode(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
	node := r.nodeOf(f)
	node.Kill()
	return func(ctx context.Context) error { return r.rejoin(ctx, node) }, nil
}

// rejoin starts a node again and waits until all are synced.
func (r *round) rejoin(ctx context.Context, node *testenv.MySQLServer) error {
	if err := node.Restart(ctx); err != nil {
		return err
	}
	return r.store.Cluster.WaitUntilSynced(ctx)
}

func killNodes(_ context.Context, r *round, _ fault) (func(context.Context) error, error) {
	for _, node := range r.store.Cluster.Nodes {
		node.Kill()
	}
	return func(ctx context.Context) error {
		return errors.Join(r.store.Cluster.Recover(ctx), r.store.Cluster.WaitUntilSynced(ctx))
	}, nil
}

func pauseNode(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
	end, err := pause(r.nodeOf(f).PID)
	return r.thenSynced(end), err
}

// isolateNode separates a node from the two others.
func isolateNode(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
	end, err := r.store.Cluster.Isolate(ctx, r.nodeOf(f))
	return r.thenSynced(end), err
}

// isolateNodes separates each node from the others, so that none has a majority.
func isolateNodes(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	end, err := r.store.Cluster.Isolate(ctx, r.store.Cluster.Nodes...)
	return r.thenSynced(end), err
}

// thenSynced returns a function that ends a fault and waits until all nodes are synced.
func (r *round) thenSynced(end func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := end(ctx); err != nil {
			return err
		}
		return r.store.Cluster.WaitUntilSynced(ctx)
	}
}

// equalWithin limits the time in which nodes apply what they have received.
const equalWithin = 10 * time.Second

// compareNodes returns the tables of which the nodes of the cluster have different rows. Services write some
// rows also when the store is idle, so it compares again for a while.
func (r *round) compareNodes(ctx context.Context) ([]violation, error) {
	if r.store.Cluster == nil {
		return nil, nil
	}
	for began := time.Now(); ; {
		first, err := r.checksums(ctx, r.store.Cluster.Nodes[0])
		if err != nil {
			return nil, err
		}
		var found []violation
		for i, node := range r.store.Cluster.Nodes[1:] {
			sums, err := r.checksums(ctx, node)
			if err != nil {
				return nil, err
			}
			for _, table := range slices.Sorted(maps.Keys(first)) {
				if sums[table] != first[table] {
					found = append(found, violation{Text: fmt.Sprintf("nodes 1 and %d have different rows in %s", i+2, table)})
				}
			}
		}
		if len(found) == 0 || time.Since(began) > equalWithin || !sleep(ctx, pollInterval) {
			return found, ctx.Err()
		}
	}
}

// checksums returns the checksum of each table of the services at a node.
func (r *round) checksums(ctx context.Context, node *testenv.MySQLServer) (map[string]string, error) {
	db, err := openDatabase(node.DSN)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables WHERE table_schema LIKE '%\\_service'")
	if err != nil {
		return nil, err
	}
	tables, err := scan[string](rows)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	results, err := db.QueryContext(ctx, "CHECKSUM TABLE "+strings.Join(tables, ", "))
	if err != nil {
		return nil, err
	}
	defer results.Close()
	for results.Next() {
		var table string
		var sum sql.NullString
		if err := results.Scan(&table, &sum); err != nil {
			return nil, err
		}
		sums[table] = sum.String
	}
	return sums, results.Err()
}
