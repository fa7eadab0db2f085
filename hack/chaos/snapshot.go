package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// snapshot is what the databases contain about a round after it.
type snapshot struct {
	sales        map[int64]*saleRow
	requests     map[requestKey]int64 // sales of stored responses of sales
	moved        map[requestKey]bool  // stored responses of stock
	timelines    map[int64][]string
	reservations map[int64]string // statuses by sale
	ledgers      map[int64][]movement
	stocks       map[int64]quantities
	deadLetters  map[string]string
}

// requestKey identifies a stored response by its user and the hash of its key.
type requestKey struct {
	user int64
	hash [sha256.Size]byte
}

func keyOf(user int64, key string) requestKey { return requestKey{user, sha256.Sum256([]byte(key))} }

// saleRow is a row of the table sales.
type saleRow struct {
	ID, Customer         int64
	Status, Reason       string
	Hold                 bool
	Items                map[int64]int64
	Total                string
	CreatedAt, UpdatedAt time.Time
}

// movement is a row of the ledger.
type movement struct {
	ID, Product int64
	Kind        string
	Quantity    int64
	Sale, Actor int64
}

// quantities are the quantities of a product.
type quantities struct{ Available, Reserved, Manual, Removed int64 }

// after returns the quantities after a movement.
func (q quantities) after(m movement) quantities {
	reservedOf := &q.Manual
	if m.Sale != 0 {
		reservedOf = &q.Reserved
	}
	switch m.Kind {
	case received:
		q.Available += m.Quantity
	case reserved:
		q.Available -= m.Quantity
		*reservedOf += m.Quantity
	case released:
		*reservedOf -= m.Quantity
		q.Available += m.Quantity
	case removed:
		*reservedOf -= m.Quantity
		q.Removed += m.Quantity
	}
	return q
}

// negative reports whether a quantity is below zero.
func (q quantities) negative() bool { return min(q.Available, q.Reserved, q.Manual, q.Removed) < 0 }

// scan returns the values of the only column of rows.
func scan[T any](rows *sql.Rows) ([]T, error) {
	defer rows.Close()
	var all []T
	for rows.Next() {
		var value T
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, rows.Err()
}

// list returns ids for an IN clause.
func list(ids []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}

// each runs a query and calls fn for each row.
func (r *round) each(ctx context.Context, query string, fn func(*sql.Rows) error) error {
	rows, err := r.db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	return rows.Err()
}

// snapshot reads what the databases contain about the round.
func (r *round) snapshot(ctx context.Context) (*snapshot, error) {
	var customerIDs, productIDs []int64
	for _, c := range r.load.customers {
		customerIDs = append(customerIDs, c.ID)
	}
	for _, p := range r.load.products {
		productIDs = append(productIDs, p.ID)
	}
	s := &snapshot{sales: map[int64]*saleRow{}, requests: map[requestKey]int64{}, moved: map[requestKey]bool{}, timelines: map[int64][]string{},
		reservations: map[int64]string{}, ledgers: map[int64][]movement{}, stocks: map[int64]quantities{}}
	steps := []func() error{
		func() error { return r.readSales(ctx, s, list(customerIDs)) },
		func() error { return r.readRequests(ctx, s, list(customerIDs)) },
		func() error { return r.readStock(ctx, s, list(productIDs)) },
		func() (err error) { s.deadLetters, err = r.deadLetters(ctx); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("read the databases: %w", err)
		}
	}
	return s, nil
}

func (r *round) readSales(ctx context.Context, s *snapshot, customerIDs string) error {
	err := r.each(ctx, "SELECT id, customer_id, status, reason, hold, items, COALESCE(total, ''), created_at, updated_at FROM "+salesSchema+
		".sales WHERE customer_id IN ("+customerIDs+")", func(rows *sql.Rows) error {
		row := &saleRow{Items: map[int64]int64{}}
		var items []byte
		if err := rows.Scan(&row.ID, &row.Customer, &row.Status, &row.Reason, &row.Hold, &items, &row.Total, &row.CreatedAt, &row.UpdatedAt); err != nil {
			return err
		}
		var lines []struct{ ProductID, Quantity int64 }
		if err := json.Unmarshal(items, &lines); err != nil {
			return err
		}
		for _, l := range lines {
			row.Items[l.ProductID] += l.Quantity
		}
		s.sales[row.ID] = row
		return nil
	})
	if err != nil {
		return err
	}
	return r.each(ctx, "SELECT t.sale_id, t.type, t.at FROM "+salesSchema+".timeline t JOIN "+salesSchema+".sales s ON s.id = t.sale_id WHERE s.customer_id IN ("+
		customerIDs+") ORDER BY t.id", func(rows *sql.Rows) error {
		var id int64
		var name string
		var at time.Time
		if err := rows.Scan(&id, &name, &at); err != nil {
			return err
		}
		s.timelines[id] = append(s.timelines[id], name)
		return nil
	})
}

func (r *round) readRequests(ctx context.Context, s *snapshot, customerIDs string) error {
	err := r.each(ctx, "SELECT customer_id, key_hash, response FROM "+salesSchema+".requests WHERE customer_id IN ("+customerIDs+")", func(rows *sql.Rows) error {
		var user int64
		var hash, response []byte
		if err := rows.Scan(&user, &hash, &response); err != nil {
			return err
		}
		var sale struct{ ID int64 }
		if err := json.Unmarshal(response, &sale); err != nil {
			return err
		}
		s.requests[requestKey{user, [sha256.Size]byte(hash)}] = sale.ID
		return nil
	})
	if err != nil {
		return err
	}
	return r.each(ctx, fmt.Sprintf("SELECT key_hash FROM %s.requests WHERE caller_id = %d", stockSchema, r.load.manager.ID), func(rows *sql.Rows) error {
		var hash []byte
		if err := rows.Scan(&hash); err != nil {
			return err
		}
		s.moved[requestKey{r.load.manager.ID, [sha256.Size]byte(hash)}] = true
		return nil
	})
}

func (r *round) readStock(ctx context.Context, s *snapshot, productIDs string) error {
	err := r.each(ctx, "SELECT product_id, available, reserved_sales, reserved_manual, removed FROM "+stockSchema+".stocks WHERE product_id IN ("+productIDs+")",
		func(rows *sql.Rows) error {
			var id int64
			var q quantities
			err := rows.Scan(&id, &q.Available, &q.Reserved, &q.Manual, &q.Removed)
			s.stocks[id] = q
			return err
		})
	if err != nil {
		return err
	}
	err = r.each(ctx, "SELECT id, product_id, kind, quantity, COALESCE(sale_id, 0), COALESCE(actor_id, 0) FROM "+stockSchema+".movements WHERE product_id IN ("+
		productIDs+") ORDER BY id", func(rows *sql.Rows) error {
		var m movement
		err := rows.Scan(&m.ID, &m.Product, &m.Kind, &m.Quantity, &m.Sale, &m.Actor)
		s.ledgers[m.Product] = append(s.ledgers[m.Product], m)
		return err
	})
	if err != nil {
		return err
	}
	first := int64(0)
	for id := range s.sales {
		if first == 0 || id < first {
			first = id
		}
	}
	return r.each(ctx, fmt.Sprintf("SELECT sale_id, status FROM %s.reservations WHERE sale_id >= %d", stockSchema, first), func(rows *sql.Rows) error {
		var id int64
		var status string
		err := rows.Scan(&id, &status)
		s.reservations[id] = status
		return err
	})
}
