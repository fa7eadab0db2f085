// Package fill puts products and past sales into the tables of the services in bulk,
// in the state that the services themselves would have brought them into: with
// ledger, reservations and timeline, so that every invariant holds.
package fill

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Schemas of one store.
type Schemas struct{ Sales, Stock string }

// Shop are the schemas of the system, as the operator names them.
var Shop = Schemas{Sales: "sales_micro_service", Stock: "stock_micro_service"}

// Goods is how much of each product comes in: more than any run sells.
const Goods = 1_000_000_000

// chunk is how many rows a statement writes.
const chunk = 2000

// Products adds the products from one id to another, each with Goods in stock. tell
// is called with how many are there.
func Products(ctx context.Context, db *sql.DB, s Schemas, from, to int64, tell func(done int64)) error {
	for first := from; first <= to; first += chunk {
		last := min(first+chunk-1, to)
		ids := fmt.Sprintf("SELECT seq FROM seq_%d_to_%d", first, last)
		for _, statement := range []string{
			"INSERT INTO " + s.Stock + ".products (id, name, description, price, version, created_at, updated_at) " +
				"SELECT seq, CONCAT('Product ', LPAD(seq * 7919 % 10000019, 8, '0')), REPEAT('A thing to have. ', 8), 1 + seq % 100, 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM (" + ids + ") ids",
			"INSERT INTO " + s.Stock + ".stocks (product_id, available, reserved_sales, reserved_manual, removed, updated_at) " +
				fmt.Sprintf("SELECT seq, %d, 0, 0, 0, UTC_TIMESTAMP(6) FROM (", int64(Goods)) + ids + ") ids",
			"INSERT INTO " + s.Stock + ".movements (product_id, kind, quantity, actor_id, at) " +
				fmt.Sprintf("SELECT seq, 'received', %d, 1, UTC_TIMESTAMP(6) FROM (", int64(Goods)) + ids + ") ids",
		} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("add products %d to %d: %w", first, last, err)
			}
		}
		if tell != nil {
			tell(last)
		}
	}
	return nil
}

// Analyse lets the server count what it plans by, as it does by itself sooner or
// later.
func Analyse(ctx context.Context, db *sql.DB, s Schemas) error {
	_, err := db.ExecContext(ctx, "ANALYZE NO_WRITE_TO_BINLOG TABLE "+strings.Join([]string{s.Sales + ".sales", s.Sales + ".timeline",
		s.Stock + ".products", s.Stock + ".stocks", s.Stock + ".movements", s.Stock + ".reservations"}, ", "))
	if err != nil {
		return fmt.Errorf("analyse the tables: %w", err)
	}
	return nil
}
