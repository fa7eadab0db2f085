// Package saga is what an order costs the database and the broker by themselves: the
// rows and the messages of our saga, written by a raw program without an ORM, without
// HTTP, in the very tables that the services' migrations make.
//
// A sale takes five transactions and four messages, as in the services: accept
// (SaleCreated), reserve (SaleItemsReservedResponse), confirm (SaleConfirmed), remove
// (StockReleased), note. Each of them is one transaction over a whole batch, with
// inbox ids and outbox rows.
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

// Books are the two schemas of a saga.
type Books struct {
	sales, stock *sql.DB
	// outboxes delete what was published, in bulk and behind the back of the saga.
	saleEvents, stockEvents *outbox
}

// Open prepares connections to two schemas on the server of an administrator's DSN;
// most bounds the connections to each.
func Open(dsn, sales, stock string, most int) (*Books, error) {
	var pools [2]*sql.DB
	for i, schema := range []string{sales, stock} {
		config, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, fmt.Errorf("read the address of the database: %w", err)
		}
		config.DBName, config.ParseTime, config.InterpolateParams = schema, true, true
		config.Params = map[string]string{"time_zone": "'+00:00'", "tx_isolation": "'READ-COMMITTED'"}
		if pools[i], err = sql.Open("mysql", config.FormatDSN()); err != nil {
			return nil, err
		}
		pools[i].SetMaxOpenConns(most)
		pools[i].SetMaxIdleConns(most)
	}
	return &Books{sales: pools[0], stock: pools[1], saleEvents: newOutbox(pools[0]), stockEvents: newOutbox(pools[1])}, nil
}

// Close deletes what is left to delete and ends the connections.
func (b *Books) Close() error {
	for _, o := range []*outbox{b.saleEvents, b.stockEvents} {
		o.close()
	}
	return firstOf(b.saleEvents.failed(), b.stockEvents.failed(), b.sales.Close(), b.stock.Close())
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Message is an event on its way.
type Message struct {
	ID      uuid.UUID
	Type    string
	Subject string
	At      time.Time
	Body    []byte
}

// say makes the message of an event.
func say(service string, data event.Data, at time.Time) (Message, error) {
	e, err := event.New(service, data, at, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err != nil {
		return Message{}, err
	}
	body, err := json.Marshal(e)
	return Message{ID: e.ID, Type: e.Type, Subject: e.Subject, At: at, Body: body}, err
}

// transact runs do in a transaction, and again, a bounded number of times, when it was
// a deadlock's victim.
func transact(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	const attempts, deadlock, lockTimeout = 20, 1213, 1205
	for attempt := 1; ; attempt++ {
		err := once(ctx, db, do)
		m, ok := asMySQL(err)
		if err == nil || attempt == attempts || !ok || m.Number != deadlock && m.Number != lockTimeout {
			return err
		}
	}
}

func once(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // The transaction has failed as it is.
		return err
	}
	return tx.Commit()
}

// values is the list of n rows in a statement.
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

// claim writes the ids of a batch to the inbox.
func claim(ctx context.Context, tx *sql.Tx, batch []event.Envelope) error {
	batchID := uuid.New()
	arguments := make([]any, 0, 2*len(batch))
	for _, e := range batch {
		arguments = append(arguments, e.ID[:], batchID[:])
	}
	_, err := insertInto(ctx, tx, "inbox (event_id, claim)", "(?,?)", arguments)
	return err
}

// keep writes messages to the outbox.
func keep(ctx context.Context, tx *sql.Tx, messages []Message) error {
	arguments := make([]any, 0, 2*len(messages))
	for _, m := range messages {
		arguments = append(arguments, m.ID[:], m.Body)
	}
	_, err := insertInto(ctx, tx, "outbox (event_id, body)", "(?,?)", arguments)
	return err
}
