package databasetest

import (
	"context"
	"fmt"
	"strings"
)

// Rows is the number of rows with which a table is filled. With so many rows the server
// prefers an index to a scan.
const Rows = 20_000

// fill runs statements that insert into the tables what they select from the temporary
// table numbers, whose column n has the values 1 to Rows. Then it runs ANALYZE TABLE, so
// that the optimizer knows the size of the tables.
func (r *Recorder) fill(ctx context.Context, statements []string) error {
	conn, err := r.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	values := make([]string, Rows)
	for i := range values {
		values[i] = fmt.Sprintf("(%d)", i+1)
	}
	prepared := append([]string{"CREATE TEMPORARY TABLE numbers (n BIGINT NOT NULL PRIMARY KEY)",
		"INSERT INTO numbers VALUES " + strings.Join(values, ",")}, statements...)
	for _, s := range prepared {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%.60s: %w", s, err)
		}
	}
	tables, err := r.tables(ctx)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if _, err := conn.ExecContext(ctx, "ANALYZE TABLE "+t); err != nil {
			return fmt.Errorf("analyze %s: %w", t, err)
		}
	}
	return nil
}

// minRows is the number of rows that a table must have at the end of a test.
const minRows = Rows * 9 / 10

// smallTables returns a message for each table with fewer than minRows rows.
func (r *Recorder) smallTables(ctx context.Context) ([]string, error) {
	tables, err := r.tables(ctx)
	if err != nil {
		return nil, err
	}
	var small []string
	for _, t := range tables {
		var n int
		if err := r.pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+t).Scan(&n); err != nil {
			return nil, fmt.Errorf("count %s: %w", t, err)
		}
		if n < minRows {
			small = append(small, fmt.Sprintf("%s has %d rows, too few to distinguish a scan from a lookup", t, n))
		}
	}
	return small, nil
}

// tables returns the names of the tables of the schema, except for those of migrations.
func (r *Recorder) tables(ctx context.Context) ([]string, error) {
	rows, err := r.pool.QueryContext(ctx, "SELECT table_name FROM information_schema.tables "+
		"WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'goose%' AND table_name != 'migration_statements'")
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var t string
		if err := rows.Scan(&t); err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, rows.Err()
}
