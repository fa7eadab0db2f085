// Package saga implements baselines B1, B2 and B4, which measure the cost of an order in
// the database and the broker alone: they write the rows and messages of the saga without
// an ORM and without HTTP to tables that the services' migrations create.
//
// A sale takes five transactions and four messages, as in the services: accept
// (SaleCreated), reserve (SaleItemsReservedResponse), confirm (SaleConfirmed), remove
// (StockReleased), and the timeline entry of StockReleased. Each is one transaction for a
// whole batch, with inbox and outbox rows.
package saga

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"

	"ecommerce-stack.dev/services/event"
)

// Database contains the two schemas of a saga.
type Database struct {
	sales, stock *sql.DB
	// The outboxes delete published rows in bulk, concurrently with the saga.
	saleEvents, stockEvents *outbox
}

// Open opens two schemas with an administrator's DSN and at most limit connections to each.
func Open(dsn, sales, stock string, limit int) (*Database, error) {
	var pools [2]*sql.DB
	for i, schema := range []string{sales, stock} {
		config, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, fmt.Errorf("parse the DSN of the database: %w", err)
		}
		config.DBName, config.ParseTime, config.InterpolateParams = schema, true, true
		config.Params = map[string]string{"time_zone": "'+00:00'", "tx_isolation": "'READ-COMMITTED'"}
		if pools[i], err = sql.Open("mysql", config.FormatDSN()); err != nil {
			return nil, err
		}
		pools[i].SetMaxOpenConns(limit)
		pools[i].SetMaxIdleConns(limit)
	}
	return &Database{sales: pools[0], stock: pools[1], saleEvents: newOutbox(pools[0]), stockEvents: newOutbox(pools[1])}, nil
}

// Close deletes the remaining published rows and closes the connections.
func (b *Database) Close() error {
	for _, o := range []*outbox{b.saleEvents, b.stockEvents} {
		o.close()
	}
	return firstError(b.saleEvents.failed(), b.stockEvents.failed(), b.sales.Close(), b.stock.Close())
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Message is an encoded event.
type Message struct {
	ID      uuid.UUID
	Type    string
	Subject string
	At      time.Time
	Body    []byte
}

// newMessage returns the message of an event.
func newMessage(service string, data event.Data, at time.Time) (Message, error) {
	e, err := event.New(service, data, at, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err != nil {
		return Message{}, err
	}
	body, err := json.Marshal(e)
	return Message{ID: e.ID, Type: e.Type, Subject: e.Subject, At: at, Body: body}, err
}

// transact runs do in a transaction and repeats it, at most 20 times, after a deadlock or a
// lock wait timeout.
func transact(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	const attempts, deadlock, lockTimeout = 20, 1213, 1205
	for attempt := 1; ; attempt++ {
		err := runOnce(ctx, db, do)
		m, ok := asMySQL(err)
		if err == nil || attempt == attempts || !ok || m.Number != deadlock && m.Number != lockTimeout {
			return err
		}
	}
}

func runOnce(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // The error of do is returned.
		return err
	}
	return tx.Commit()
}

// values returns n comma-separated rows.
func values(row string, n int) string { return strings.Repeat(","+row, n)[1:] }

func insertInto(ctx context.Context, tx *sql.Tx, into, row string, arguments []any) (sql.Result, error) {
	width := strings.Count(row, "?")
	if len(arguments) == 0 {
		return nil, nil
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO "+into+" VALUES "+values(row, len(arguments)/width), arguments...)
	if err != nil {
		return nil, fmt.Errorf("insert into %s: %w", into, err)
	}
	return res, nil
}

// insertInbox inserts the IDs of a batch into the inbox.
func insertInbox(ctx context.Context, tx *sql.Tx, batch []event.Envelope) error {
	batchID := uuid.New()
	arguments := make([]any, 0, 2*len(batch))
	for _, e := range batch {
		arguments = append(arguments, e.ID[:], batchID[:])
	}
	_, err := insertInto(ctx, tx, "inbox (event_id, claim)", "(?,?)", arguments)
	return err
}

// insertOutbox inserts messages into the outbox.
func insertOutbox(ctx context.Context, tx *sql.Tx, messages []Message) error {
	arguments := make([]any, 0, 2*len(messages))
	for _, m := range messages {
		arguments = append(arguments, m.ID[:], m.Body)
	}
	_, err := insertInto(ctx, tx, "outbox (event_id, body)", "(?,?)", arguments)
	return err
}
