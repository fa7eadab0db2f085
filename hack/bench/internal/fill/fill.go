// Package fill inserts products and past sales into the services' tables in bulk, with
// ledger, reservations and timeline, so that all invariants hold.
package fill

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"fmt"
	"strings"
)

// Schemas are the names of the schemas of a system.
type Schemas struct{ Sales, Stock string }

// Shop are the schemas of the system, as the operator names them.
var Shop = Schemas{Sales: "sales_micro_service", Stock: "stock_micro_service"}

// The statements that add products and sales, with placeholders.
//
//go:embed products.sql
var productStatements string

//go:embed sales.sql
var saleStatements string

// Rows of a statement. A sale has nine rows.
const (
	productsPerStatement = 2000
	salesPerTransaction  = 20_000
)

// Products adds the products with the IDs from..to, each with a stock that no run exhausts. It
// calls progress with the ID of the last added product.
func Products(ctx context.Context, db *sql.DB, s Schemas, from, to int64, progress func(done int64)) error {
	return inParts(ctx, db, s, productStatements, from, to, productsPerStatement, progress)
}

// Sales adds n confirmed sales of one product each, distributed over customers 1 to
// customers and products 1 to products, with timeline, reservations, ledger and stock. It
// does not write the binary log. It calls progress with the ID of the last added sale.
func Sales(ctx context.Context, db *sql.DB, s Schemas, n, customers, products int64, progress func(done int64)) error {
	var last int64
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) FROM "+s.Sales+".sales").Scan(&last); err != nil {
		return err
	}
	statements := strings.NewReplacer("$CUSTOMERS", fmt.Sprint(customers), "$PRODUCTS", fmt.Sprint(products)).Replace(saleStatements)
	return inParts(ctx, db, s, statements, last+1, last+n, salesPerTransaction, progress)
}

// inParts runs statements, which are separated by empty lines, for parts of the IDs from..to, each
// in a transaction, without the binary log.
func inParts(ctx context.Context, db *sql.DB, s Schemas, statements string, from, to, size int64, progress func(done int64)) error {
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
	for first := from; first <= to; first += size {
		last := min(first+size-1, to)
		part := strings.NewReplacer("$SALES", s.Sales, "$STOCK", s.Stock, "$IDS", fmt.Sprintf("%s.seq_%d_to_%d", s.Stock, first, last)).Replace(statements)
		if err := transact(ctx, conn, strings.Split(part, "\n\n")); err != nil {
			return fmt.Errorf("add rows %d to %d: %w", first, last, err)
		}
		progress(last)
	}
	return nil
}

func transact(ctx context.Context, conn *sql.Conn, statements []string) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // It does nothing after a commit.
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
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
