package databasetest

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
)

// mostRead is how many rows one statement may read: more than any page or batch, and far
// fewer than Rows.
const mostRead = 1200

// inserts says that a statement writes rows by their keys, and reads none but those.
func (s Statement) inserts() bool {
	return strings.HasPrefix(s.SQL, "INSERT") && !strings.Contains(s.SQL, "SELECT")
}

// limited says that a statement stops by itself.
func (s Statement) limited() bool { return strings.Contains(s.SQL, " LIMIT ") }

// plan is how the server runs a statement, and what it reads in doing so.
type plan struct {
	statement Statement
	steps     []step
	read      int64
}

func (r *Recorder) plan(ctx context.Context, s Statement) (plan, error) {
	p := plan{statement: s}
	if s.inserts() {
		return p, nil
	}
	var err error
	if p.steps, err = r.explain(ctx, s); err != nil {
		return p, fmt.Errorf("explain %s: %w", s.SQL, err)
	}
	if p.read, err = r.reads(ctx, s); err != nil {
		return p, fmt.Errorf("run %s: %w", s.SQL, err)
	}
	return p, nil
}

// fault says what is wrong with a plan, or "": a statement may read so many rows, and
// some may scan.
func (p plan) fault(most int64, mayScan bool) string {
	var faults []string
	for _, s := range p.steps {
		ends := s.inOrder() && p.statement.limited()
		if s.scans() && !mayScan && !ends {
			faults = append(faults, "scans "+s.table)
		}
	}
	if p.read > most {
		faults = append(faults, fmt.Sprintf("reads %d rows, and may read %d", p.read, most))
	}
	return strings.Join(faults, ", ")
}

func (p plan) String() string {
	lines := make([]string, len(p.steps))
	for i, s := range p.steps {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

// step of a plan: how a table is read. https://mariadb.com/kb/en/explain/ and
// https://dev.mysql.com/doc/refman/8.4/en/explain-output.html
type step struct{ table, access, key, rows, extra string }

func (s step) String() string {
	return fmt.Sprintf("%s: %s by %s, about %s rows, %s", s.table, s.access, s.key, s.rows, s.extra)
}

// scans says that the step reads a whole table, or a whole index of it. Tables in
// angle brackets are results of other steps.
func (s step) scans() bool {
	return (s.access == "ALL" || s.access == "index") && !strings.HasPrefix(s.table, "<")
}

// inOrder says that the step follows an index from where it begins to where a limit
// ends it.
func (s step) inOrder() bool {
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

// reads runs a statement again, to no effect, and counts the rows that it reads. What
// a plan calls a lookup may still find half of the table.
func (r *Recorder) reads(ctx context.Context, s Statement) (int64, error) {
	tx, err := r.pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	before, err := handled(ctx, tx)
	if err != nil {
		return 0, err
	}
	if err := run(ctx, tx, s); err != nil {
		return 0, err
	}
	after, err := handled(ctx, tx)
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

// handled adds up the rows that this connection has read, among them those that MariaDB
// has looked at in the index and refused there.
func handled(ctx context.Context, tx *sql.Tx) (int64, error) {
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
