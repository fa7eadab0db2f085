// Package databasetest implements tests of the SQL statements of a service on large
// tables. It records the statements that the service runs, and checks the execution plan
// of each and the number of rows that it reads.
package databasetest

import (
	"context"
	"database/sql"
	"sync"
	"testing"

	"gorm.io/gorm"
)

// Statement is a statement that ran, with its arguments.
type Statement struct {
	// Task is the id of the operation, or the name of the task, that ran the statement.
	Task      string
	SQL       string
	Arguments []any
}

// Recorder records the statements that run through a gorm.DB. Tasks must not be
// concurrent: a statement is recorded for the current task, also when another goroutine
// runs it.
type Recorder struct {
	pool *sql.DB

	operations []string
	tasks      []string // tasks other than operations

	mu         sync.Mutex
	task       string
	statements []Statement
}

// Record fills the tables of db with the statements in inserts, and returns a Recorder of
// the statements that run through db from then on. db must not be in use. The statements
// select from the temporary table numbers, whose column n has the values 1 to Rows.
func Record(t testing.TB, db *gorm.DB, inserts ...string) *Recorder {
	t.Helper()
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	r := &Recorder{pool: pool}
	if err := r.fill(t.Context(), inserts); err != nil {
		t.Fatal(err)
	}
	db.Statement.ConnPool = recordedPool{recorded{pool, r}, pool}
	db.ConnPool = db.Statement.ConnPool
	return r
}

// Run runs fn as a task, and fails the test when it returns an error.
func (r *Recorder) Run(t testing.TB, task string, fn func() error) {
	t.Helper()
	r.begin(task)
	defer r.begin("")
	r.tasks = append(r.tasks, task)
	if err := fn(); err != nil {
		t.Errorf("%s: %v", task, err)
	}
}

// Count returns the number of statements that a task has issued.
func (r *Recorder) Count(task string) int {
	n := 0
	for _, s := range r.recorded() {
		if s.Task == task {
			n++
		}
	}
	return n
}

func (r *Recorder) begin(task string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.task = task
}

func (r *Recorder) record(statement string, arguments []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.task != "" {
		r.statements = append(r.statements, Statement{r.task, statement, arguments})
	}
}

func (r *Recorder) recorded() []Statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.statements
}

// recorded is a connection pool or a transaction whose statements are recorded.
type recorded struct {
	gorm.ConnPool
	recorder *Recorder
}

func (c recorded) ExecContext(ctx context.Context, statement string, arguments ...any) (sql.Result, error) {
	c.recorder.record(statement, arguments)
	return c.ConnPool.ExecContext(ctx, statement, arguments...)
}

func (c recorded) QueryContext(ctx context.Context, statement string, arguments ...any) (*sql.Rows, error) {
	c.recorder.record(statement, arguments)
	return c.ConnPool.QueryContext(ctx, statement, arguments...)
}

func (c recorded) QueryRowContext(ctx context.Context, statement string, arguments ...any) *sql.Row {
	c.recorder.record(statement, arguments)
	return c.ConnPool.QueryRowContext(ctx, statement, arguments...)
}

type recordedPool struct {
	recorded
	pool *sql.DB
}

// BeginTx implements gorm.ConnPoolBeginner.
func (p recordedPool) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.pool.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &recordedTx{recorded{tx, p.recorder}, tx}, nil
}

// GetDBConn implements gorm.GetDBConnector.
func (p recordedPool) GetDBConn() (*sql.DB, error) { return p.pool, nil }

type recordedTx struct {
	recorded
	gorm.TxCommitter
}
