package databasetest

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
)

// maxRowsRead is the number of rows that a statement may read: more than a page or a
// batch has, and far fewer than Rows.
const maxRowsRead = 1200

// insertsValues reports whether a statement inserts values, so that it reads no other rows.
func (s Statement) insertsValues() bool {
	return strings.HasPrefix(s.SQL, "INSERT") && !strings.Contains(s.SQL, "SELECT")
}

// hasLimit reports whether a statement has a LIMIT clause.
func (s Statement) hasLimit() bool { return strings.Contains(s.SQL, " LIMIT ") }

// plan is the execution plan of a statement, with the number of rows that it reads.
type plan struct {
	statement Statement
	steps     []step
	read      int64
}

func (r *Recorder) plan(ctx context.Context, s Statement) (plan, error) {
	p := plan{statement: s}
	if s.insertsValues() {
		return p, nil
	}
	var err error
	if p.steps, err = r.explain(ctx, s); err != nil {
		return p, fmt.Errorf("explain %s: %w", s.SQL, err)
	}
	if p.read, err = r.rowsRead(ctx, s); err != nil {
		return p, fmt.Errorf("run %s: %w", s.SQL, err)
	}
	return p, nil
}

// problems returns what is wrong with a plan, or "": it reads more than maxRows rows, or
// it scans a table although it may not.
func (p plan) problems(maxRows int64, allowScan bool) string {
	var problems []string
	for _, s := range p.steps {
		bounded := s.followsIndex() && p.statement.hasLimit()
		if s.isScan() && !allowScan && !bounded {
			problems = append(problems, "scans "+s.table)
		}
	}
	if p.read > maxRows {
		problems = append(problems, fmt.Sprintf("reads %d rows, at most %d are allowed", p.read, maxRows))
	}
	return strings.Join(problems, ", ")
}

func (p plan) String() string {
	lines := make([]string, len(p.steps))
	for i, s := range p.steps {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

// step is a row of EXPLAIN: how one table is read. See https://mariadb.com/kb/en/explain/ and
// https://dev.mysql.com/doc/refman/8.4/en/explain-output.html
type step struct{ table, access, key, rows, extra string }

func (s step) String() string {
	return fmt.Sprintf("%s: %s by %s, about %s rows, %s", s.table, s.access, s.key, s.rows, s.extra)
}

// isScan reports whether the step reads a whole table or index. Tables whose names are in
// angle brackets are the results of other steps.
func (s step) isScan() bool {
	return (s.access == "ALL" || s.access == "index") && !strings.HasPrefix(s.table, "<")
}

// followsIndex reports whether the step reads an index in its order, so that a LIMIT ends
// it early.
func (s step) followsIndex() bool {
	return s.access == "index" && !strings.Contains(s.extra, "filesort") && !strings.Contains(s.extra, "temporary")
}

func (r *Recorder) explain(ctx context.Context, s Statement) ([]step, error) {
	rows, err := r.pool.QueryContext(ctx, "EXPLAIN FORMAT=TRADITIONAL "+s.SQL, s.Arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var steps []step
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		named := map[string]string{}
		for i, c := range columns {
			named[c] = values[i].String
		}
		steps = append(steps, step{named["table"], named["type"], named["key"], named["rows"], named["Extra"]})
	}
	return steps, rows.Err()
}

// rowsRead runs a statement in a transaction that is rolled back, and returns the number
// of rows that it reads. A lookup in the plan may still match half of the table.
func (r *Recorder) rowsRead(ctx context.Context, s Statement) (int64, error) {
	tx, err := r.pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	before, err := handlerReads(ctx, tx)
	if err != nil {
		return 0, err
	}
	if err := run(ctx, tx, s); err != nil {
		return 0, err
	}
	after, err := handlerReads(ctx, tx)
	return after - before, err
}

func run(ctx context.Context, tx *sql.Tx, s Statement) error {
	rows, err := tx.QueryContext(ctx, s.SQL, s.Arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

// handlerReads returns the number of rows that this connection has read. It includes the
// index entries that MariaDB discarded by index condition pushdown.
func handlerReads(ctx context.Context, tx *sql.Tx) (int64, error) {
	rows, err := tx.QueryContext(ctx, "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%' OR Variable_name LIKE 'Handler_icp%'")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var sum int64
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		if name == "Handler_icp_match" {
			n = -n
		}
		sum += n
	}
	return sum, rows.Err()
}
