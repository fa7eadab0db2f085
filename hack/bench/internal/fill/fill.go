// Package fill inserts products and past sales into the services' tables in bulk, with
// ledger, reservations and timeline, so that all invariants hold.
package fill

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Schemas are the names of the schemas of a system.
type Schemas struct{ Sales, Stock string }

// Shop are the schemas of the system, as the operator names them.
var Shop = Schemas{Sales: "sales_micro_service", Stock: "stock_micro_service"}

// Goods is the initial stock of each product, which no run exhausts.
const Goods = 1_000_000_000

// rowsPerStatement is the number of rows of an INSERT statement.
const rowsPerStatement = 2000

// Products adds the products with the IDs from..to, each with Goods in stock. It calls
// progress, if it is not nil, with the ID of the last added product.
func Products(ctx context.Context, db *sql.DB, s Schemas, from, to int64, progress func(done int64)) error {
	for first := from; first <= to; first += rowsPerStatement {
		last := min(first+rowsPerStatement-1, to)
		ids := fmt.Sprintf("SELECT seq FROM seq_%d_to_%d", first, last)
		for _, statement := range []string{
			"INSERT INTO " + s.Stock + ".products (id, name, description, price, version, created_at, updated_at) " +
				"SELECT seq, CONCAT('Product ', LPAD(seq * 7919 % 10000019, 8, '0')), REPEAT('A thing to have. ', 8), 1 + seq % 100, 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM (" + ids + ") ids",
			// Two columns have other names in earlier revisions.
			"INSERT INTO " + s.Stock + ".stocks " +
				fmt.Sprintf("SELECT seq, %d, 0, 0, 0, UTC_TIMESTAMP(6) FROM (", int64(Goods)) + ids + ") ids",
			"INSERT INTO " + s.Stock + ".movements (product_id, kind, quantity, actor_id, at) " +
				fmt.Sprintf("SELECT seq, 'received', %d, 1, UTC_TIMESTAMP(6) FROM (", int64(Goods)) + ids + ") ids",
		} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("add products %d to %d: %w", first, last, err)
			}
		}
		if progress != nil {
			progress(last)
		}
	}
	return nil
}

// Analyze updates the server's statistics, which it would otherwise update later.
func Analyze(ctx context.Context, db *sql.DB, s Schemas) error {
	_, err := db.ExecContext(ctx, "ANALYZE NO_WRITE_TO_BINLOG TABLE "+strings.Join([]string{s.Sales + ".sales", s.Sales + ".timeline",
		s.Stock + ".products", s.Stock + ".stocks", s.Stock + ".movements", s.Stock + ".reservations"}, ", "))
	if err != nil {
		return fmt.Errorf("analyze the tables: %w", err)
	}
	return nil
}
