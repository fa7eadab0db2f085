package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"
)

// The schemas of the services.
const (
	salesSchema = "sales_micro_service"
	stockSchema = "stock_micro_service"
)

// databaseKinds are faults of the database.
func databaseKinds() []kind {
	target := []string{mysqlServer}
	return []kind{
		{"kill", target, 0, 2 * time.Second, killDatabase},
		{"pause", target, time.Second, 8 * time.Second, pauseDatabase},
		{"read-only", target, time.Second, 5 * time.Second, readOnly},
		{"kill connections of", target, 2 * time.Second, 5 * time.Second, killConnections},
		{"exhaust connections of", target, 2 * time.Second, 5 * time.Second, exhaustConnections},
		{"fill the disk of", target, 2 * time.Second, 5 * time.Second, fillDisk},
		{"lock rows of", target, 3 * time.Second, 8 * time.Second, lockRows},
		{"deadlock with", target, 2 * time.Second, 5 * time.Second, deadlocks},
	}
}

func killDatabase(_ context.Context, r *round, _ fault) (func(context.Context) error, error) {
	r.store.MySQL.Kill()
	return r.store.MySQL.Restart, nil
}

func pauseDatabase(_ context.Context, r *round, _ fault) (func(context.Context) error, error) {
	return pause(r.store.MySQL.PID)
}

// setGlobal sets a variable of the server until the end of the fault, over a connection that
// stays open.
func setGlobal(ctx context.Context, r *round, set, reset string) (func(context.Context) error, error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SET GLOBAL "+set); err != nil {
		conn.Close()
		return nil, err
	}
	return func(ctx context.Context) error {
		defer conn.Close()
		_, err := conn.ExecContext(ctx, "SET GLOBAL "+reset)
		return err
	}, nil
}

func readOnly(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	return setGlobal(ctx, r, "read_only = 1", "read_only = 0")
}

// killConnections ends connections of services at the server at any moment, also during a COMMIT.
func killConnections(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
	return repeatedly(ctx, f, 200*time.Millisecond, func(ctx context.Context, random *rand.Rand) {
		_ = r.killConnections(ctx, func() bool { return random.IntN(3) == 0 })
	}), nil
}

// killConnections ends the connections of services that the caller selects.
func (r *round) killConnections(ctx context.Context, selected func() bool) error {
	rows, err := r.db.QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE user LIKE '%\\_rw'")
	if err != nil {
		return err
	}
	ids, err := scan[int64](rows)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if selected() {
			_, _ = r.db.ExecContext(ctx, fmt.Sprintf("KILL CONNECTION %d", id)) // It may have ended.
		}
	}
	return nil
}

// exhaustConnections leaves the services without connections: the existing ones end, and the
// server accepts only few others.
func exhaustConnections(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	end, err := setGlobal(ctx, r, "max_connections = 10", "max_connections = 500")
	if err != nil {
		return nil, err
	}
	_ = r.killConnections(ctx, func() bool { return true })
	return end, nil
}

// lockRows locks rows of products, sales, reservations, stored responses and outboxes, for up to
// three seconds each.
func lockRows(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
	return repeatedly(ctx, f, 100*time.Millisecond, func(ctx context.Context, random *rand.Rand) {
		product := r.load.products[random.IntN(len(r.load.products))].ID
		statement := []string{
			fmt.Sprintf("SELECT * FROM %s.stocks WHERE product_id = %d FOR UPDATE", stockSchema, product),
			"SELECT * FROM " + salesSchema + ".sales ORDER BY id DESC LIMIT 5 FOR UPDATE",
			"SELECT * FROM " + salesSchema + ".sales WHERE expires_at IS NOT NULL ORDER BY expires_at LIMIT 5 FOR UPDATE",
			"SELECT * FROM " + stockSchema + ".reservations ORDER BY sale_id DESC LIMIT 5 FOR UPDATE",
			"SELECT * FROM " + salesSchema + ".requests ORDER BY created_at DESC LIMIT 3 FOR UPDATE",
			"SELECT * FROM " + salesSchema + ".outbox LIMIT 5 FOR UPDATE",
			"SELECT * FROM " + stockSchema + ".outbox LIMIT 5 FOR UPDATE",
		}[random.IntN(7)]
		_ = r.transaction(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, statement)
			sleep(ctx, between(random, 300*time.Millisecond, 3*time.Second))
			return err
		})
	}), nil
}

// transaction runs fn in a transaction of the administrator, which is rolled back.
func (r *round) transaction(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := r.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	return fn(tx)
}

// deadlocks locks rows in the opposite order of that of the services. The transactions have
// changed other rows before, so that the server rolls back those of the services.
func deadlocks(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
	for _, statement := range []string{"CREATE DATABASE IF NOT EXISTS chaos", "CREATE TABLE IF NOT EXISTS chaos.weights (n INT)"} {
		if _, err := r.db.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	return repeatedly(ctx, f, 50*time.Millisecond, func(ctx context.Context, random *rand.Rand) {
		products := r.load.products
		low := random.IntN(len(products) - 1)
		high := low + 1 + random.IntN(len(products)-low-1)
		_ = r.transaction(ctx, func(tx *sql.Tx) error {
			for _, statement := range []string{
				"INSERT INTO chaos.weights VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16)",
				"INSERT INTO chaos.weights SELECT a.n FROM chaos.weights a, chaos.weights b LIMIT 200",
				fmt.Sprintf("SELECT * FROM %s.stocks WHERE product_id = %d FOR UPDATE", stockSchema, products[high].ID),
				"DO SLEEP(0.05)",
				fmt.Sprintf("SELECT * FROM %s.stocks WHERE product_id = %d FOR UPDATE", stockSchema, products[low].ID),
				"SELECT * FROM " + stockSchema + ".reservations ORDER BY sale_id DESC LIMIT 5 FOR UPDATE",
			} {
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		})
	}), nil
}
