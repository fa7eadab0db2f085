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

// Order is what a customer wants.
type Order struct {
	Customer int64
	// Key is the request's Idempotency-Key.
	Key   string
	Items []event.Item
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// storedSale is the stored response to an order, as the sales service writes it.
type storedSale struct {
	ID         int64
	CustomerID int64
	Status     string
	Hold       bool
	Items      []event.Item
	Currency   string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Accept commits orders as pending sales and returns what to publish.
func (b *Books) Accept(ctx context.Context, orders []Order) ([]Message, error) {
	var said []Message
	err := transact(ctx, b.sales, func(tx *sql.Tx) error {
		at := now()
		first, err := insertSales(ctx, tx, orders, at)
		if err != nil {
			return err
		}
		said = said[:0]
		var timeline, requests []any
		for i, o := range orders {
			created := event.SaleCreated{SaleID: first + int64(i), CustomerID: o.Customer, Items: o.Items}
			m, err := say("sales", created, at)
			if err != nil {
				return err
			}
			said = append(said, m)
			timeline = append(timeline, created.SaleID, m.Type, encode(created), at)
			key, body := sha256.Sum256([]byte(o.Key)), sha256.Sum256(m.Body)
			requests = append(requests, o.Customer, key[:], body[:], encode(storedSale{ID: created.SaleID, CustomerID: o.Customer,
				Status: "Pending", Items: o.Items, Currency: "USD", CreatedAt: at, UpdatedAt: at}), at)
		}
		if err := note(ctx, tx, timeline); err != nil {
			return err
		}
		if _, err := insertInto(ctx, tx, "requests (customer_id, key_hash, body_hash, response, created_at)", "(?,?,?,?,?)", requests); err != nil {
			return err
		}
		return keep(ctx, tx, said)
	})
	if err != nil {
		return nil, fmt.Errorf("accept %d orders: %w", len(orders), err)
	}
	return said, nil
}

// insertSales returns the first id; the others follow it (MariaDB Server
// Documentation, AUTO_INCREMENT Handling in InnoDB: a simple insert in lock modes 0
// and 1 takes ids that follow each other).
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

func note(ctx context.Context, tx *sql.Tx, arguments []any) error {
	_, err := insertInto(ctx, tx, "timeline (sale_id, type, data, at)", "(?,?,?,?)", arguments)
	return err
}

// encode is for values of our own types, which can always be encoded.
func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func number(id string) int64 {
	n, _ := strconv.ParseInt(id, 10, 64) // A subject that we made ourselves.
	return n
}
