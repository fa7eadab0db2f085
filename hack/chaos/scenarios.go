package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// scenarioKinds are faults during which the store must go on with all other work. Each checks that
// itself, so no other fault may be active.
func scenarioKinds() []kind {
	target := []string{everything}
	return []kind{
		{"hold the oldest events of the outbox of", target, 20 * time.Second, 20 * time.Second, holdEvents},
		{"hold a product of", target, 18 * time.Second, 18 * time.Second, holdProduct},
		{"vanish with locks of", target, vanishTime, vanishTime, vanish},
	}
}

// Limits of scenarios.
const (
	// maxDelay is the time within which a sale is decided that needs no locked row. It is usually below
	// a second; the limit is for a busy machine, and below the time for which the row is locked.
	maxDelay = 12 * time.Second
	// relayDelay is the time in which the relay publishes an event that the dispatcher could not: the
	// claim of the row and an interval of the relay, which are 6 s, and the same for a busy machine.
	relayDelay = 14 * time.Second
	// vanishTime is the time after which the sales are decided whose rows a session has locked that
	// has vanished: the database ends it after 15 s without a statement.
	vanishTime = 30 * time.Second
)

// undecided returns the number of sales that were placed in a part of the history, that are not holds,
// and that are Pending.
func (r *round) undecided(ctx context.Context, from, to time.Duration, condition string) (n int, err error) {
	const format = "2006-01-02 15:04:05.000000"
	err = r.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+salesSchema+".sales WHERE status = 'Pending' AND NOT hold AND created_at BETWEEN ? AND ? AND "+condition,
		r.load.began.Add(from).UTC().Format(format), r.load.began.Add(to).UTC().Format(format)).Scan(&n)
	return n, err
}

// calmWithin limits the time in which the store decides what earlier faults have delayed.
const calmWithin = 30 * time.Second

// awaitCalm waits until the store decides sales within 2 s. A scenario measures the delay that its
// own fault causes, and the store may still have sales to decide that an earlier fault has delayed.
func (r *round) awaitCalm(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < calmWithin && sleep(ctx, pollInterval); {
		n, err := r.undecided(ctx, 0, r.load.now()-2*time.Second, "TRUE")
		if err != nil || n == 0 {
			return err
		}
	}
	return ctx.Err()
}

// violate records a violation that a scenario has found.
func (r *round) violate(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = append(r.found, violation{Invariant: 3, Text: fmt.Sprintf(format, args...)})
}

// holdEvents locks the oldest events of sales while the relay has to publish others.
func holdEvents(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	if err := r.awaitCalm(ctx); err != nil {
		return nil, err
	}
	for _, name := range []string{"sales→" + brokerName, "sales-2→" + brokerName} {
		r.store.edges[name].proxy.Stop()
		defer func() {
			if err := r.store.edges[name].proxy.Start(); err != nil {
				r.note(err)
			}
		}()
	}
	const oldest = "SELECT event_id FROM " + salesSchema + ".outbox ORDER BY claimed_at LIMIT 2"
	sleep(ctx, 2*time.Second)
	tx, err := r.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	locked, err := tx.QueryContext(ctx, oldest+" FOR UPDATE")
	if err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	if _, err := scan[[]byte](locked); err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	return func(ctx context.Context) error {
		defer func() { _ = tx.Rollback() }()
		var n int
		err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+salesSchema+".outbox WHERE created_at < NOW(6) - INTERVAL ? SECOND", int(relayDelay.Seconds())).Scan(&n)
		if err == nil && n > 2 {
			r.violate("%d events are in the outbox of sales for more than %s, because two others are locked", n-2, relayDelay)
		}
		return err
	}, nil
}

// holdProduct locks the stock of a product. The sales of others must be decided.
func holdProduct(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	if err := r.awaitCalm(ctx); err != nil {
		return nil, err
	}
	began := r.load.now()
	product := r.load.products[0].ID
	tx, err := r.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("SELECT * FROM %s.stocks WHERE product_id = %d FOR UPDATE", stockSchema, product)); err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	return func(ctx context.Context) error {
		defer func() { _ = tx.Rollback() }()
		n, err := r.undecided(ctx, began, r.load.now()-maxDelay, fmt.Sprintf("NOT JSON_CONTAINS(items, '{\"productId\": %d}')", product))
		if err == nil && n > 0 {
			r.violate("%d sales are undecided after %s, because the stock of another product is locked", n, maxDelay)
		}
		return err
	}, nil
}

// vanish makes a replica of stock stop in the middle of a transaction, as a node without power: its
// session has rows locked, and sends nothing more. The broker notices, and delivers its messages to the
// other replica, which must decide the sales.
func vanish(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	if err := r.awaitCalm(ctx); err != nil {
		return nil, err
	}
	began, file := r.load.now(), r.store.failpointFile("stock")
	if err := os.WriteFile(file, []byte("1 stop "+withStocksLocked), 0o600); err != nil {
		return nil, err
	}
	sleep(ctx, 2*time.Second)
	broker := r.store.edges["stock→"+brokerName].proxy
	broker.Stop()
	return func(ctx context.Context) error {
		n, err := r.undecided(ctx, began, began+3*time.Second, "TRUE")
		if err == nil && n > 0 {
			r.violate("%d sales are undecided %s after a replica of stock has vanished", n, vanishTime)
		}
		// The replica would go on with the transaction.
		r.store.Kill("stock")
		if err := os.Remove(file); err != nil {
			return err
		}
		sleep(ctx, disarmTime)
		return errors.Join(err, broker.Start(), r.store.StartService("stock"))
	}, nil
}
