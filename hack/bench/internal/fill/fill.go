// Package fill inserts products and past sales into the services' tables in bulk, with
// ledger, reservations and timeline, so that all invariants hold.
package fill

import (
	"context"
	"database/sql"
	"database/sql/driver"
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

// salesPerTransaction is the number of sales of a transaction; each has nine rows.
const salesPerTransaction = 20_000

// past is the creation time of past sales, which is older than all retention periods.
const past = "(UTC_TIMESTAMP(6) - INTERVAL 30 DAY)"

// Sales adds n confirmed sales of one product each, distributed over customers 1 to
// customers and products 1 to products, with timeline, reservations, ledger and stock. It
// does not write the binary log. It calls progress, if it is not nil, with the number of
// added sales.
func Sales(ctx context.Context, db *sql.DB, s Schemas, n, customers, products int64, progress func(done int64)) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "SET SESSION sql_log_bin = 0, unique_checks = 0"); err != nil {
		return fmt.Errorf("configure the session: %w", err)
	}
	// Remove the connection from the pool, because its settings have changed.
	defer func() { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }()
	var base int64
	if err := conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) FROM "+s.Sales+".sales").Scan(&base); err != nil {
		return err
	}
	for done := int64(0); done < n; {
		size := min(salesPerTransaction, n-done)
		if err := addSales(ctx, conn, s, base+done+1, base+done+size, customers, products); err != nil {
			return fmt.Errorf("add sales %d to %d: %w", base+done+1, base+done+size, err)
		}
		done += size
		if progress != nil {
			progress(done)
		}
	}
	return nil
}

// addSales adds the sales with the IDs first..last in one transaction.
func addSales(ctx context.Context, conn *sql.Conn, s Schemas, first, last, customers, products int64) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // It does nothing after a commit.
	for _, statement := range saleStatements(s, first, last, customers, products) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func saleStatements(s Schemas, first, last, customers, products int64) []string {
	replace := strings.NewReplacer(
		"$SALES", s.Sales, "$STOCK", s.Stock, "$AT", past,
		"$IDS", fmt.Sprintf("(SELECT seq AS id, 1 + seq %% %d AS customer, 1 + seq %% %d AS product FROM seq_%d_to_%d) ids", customers, products, first, last),
		"$PRICE", "CAST(1 + product % 100 AS DECIMAL(9, 2))",
	)
	const items = `CONCAT('[{"productId":', product, ',"quantity":1}]')`
	statements := []string{
		`INSERT INTO $SALES.sales (id, customer_id, status, hold, reserved, reason, items, total, currency, created_at, updated_at)
		 SELECT id, customer, 'Confirmed', 0, 1, '', CONCAT('[{"productId":', product, ',"quantity":1,"unitPrice":"', $PRICE, '"}]'), $PRICE, 'USD', $AT, $AT FROM $IDS`,
		`INSERT INTO $STOCK.reservations (sale_id, customer_id, status, lines_json, at) SELECT id, customer, 'Removed', ` + items + `, $AT FROM $IDS`,
		`UPDATE $STOCK.stocks JOIN (SELECT product, COUNT(*) AS n FROM $IDS GROUP BY product) sold ON product_id = product
		 SET available = available - n, removed = removed + n, updated_at = $AT`,
	}
	for _, kind := range []string{"reserved", "removed"} {
		statements = append(statements, `INSERT INTO $STOCK.movements (product_id, kind, quantity, sale_id, at) SELECT product, '`+kind+`', 1, id, $AT FROM $IDS`)
	}
	for _, entry := range []struct{ kind, data string }{
		{"SaleCreated", `CONCAT('{"saleId":', id, ',"customerId":', customer, ',"items":', ` + items + `, '}')`},
		{"SaleItemsReservedResponse", `CONCAT('{"saleId":', id, ',"customerId":', customer, ',"itemsReserved":[{"productId":', product, ',"quantity":1,"price":"', $PRICE, '"}]}')`},
		{"SaleConfirmed", `CONCAT('{"saleId":', id, ',"items":', ` + items + `, '}')`},
		{"StockReleased", `CONCAT('{"saleId":', id, ',"items":', ` + items + `, ',"releasedAt":"2026-01-01T00:00:00Z"}')`},
	} {
		statements = append(statements, `INSERT INTO $SALES.timeline (sale_id, type, data, at) SELECT id, '`+entry.kind+`', `+entry.data+`, $AT FROM $IDS`)
	}
	for i := range statements {
		statements[i] = replace.Replace(statements[i])
	}
	return statements
}
