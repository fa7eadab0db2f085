package databasetest

import (
	"context"
	"fmt"
	"strings"
)

// Rows that a table is filled with: enough that a scan costs more than an index.
const Rows = 20_000

// fill runs statements that insert into the tables by selecting from the table
// numbers, whose column n has 1 to Rows, and has the server look at what the tables
// hold then, so that it plans as it would for a store that has run for long.
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

// least is what a table still has after purges and deletions.
const least = Rows * 9 / 10

// small says which tables have not rows enough.
func (r *Recorder) small(ctx context.Context) ([]string, error) {
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
		if n < least {
			small = append(small, fmt.Sprintf("%s has %d rows, too few to tell a scan by", t, n))
		}
	}
	return small, nil
}

// tables of the schema, but for those of the migrations: all grow with the store.
func (r *Recorder) tables(ctx context.Context) ([]string, error) {
	rows, err := r.pool.QueryContext(ctx, "SELECT table_name FROM information_schema.tables "+
		"WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'goose%'")
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
