// Package databasetest shows how the statements of a service do on tables that have
// grown: it records what the service runs, and holds each statement against the plan
// that the server makes for it and against the rows that it reads.
package databasetest

import (
	"context"
	"database/sql"
	"sync"
	"testing"

	"gorm.io/gorm"
)

// Statement is one that ran, with its arguments.
type Statement struct {
	// Task is the operation or the work that it ran for.
	Task      string
	SQL       string
	Arguments []any
}

// Recorder keeps the statements that run through a gorm.DB. Tasks run one after
// another: a statement belongs to the task that is running, also when another goroutine
// issues it.
type Recorder struct {
	pool *sql.DB

	operations []string
	others     []string // tasks beside the operations

	mu         sync.Mutex
	task       string
	statements []Statement
}

// Record begins to record what runs through db, which nobody may be using yet, and fills
// its tables with the statements grown; see fill.
func Record(t testing.TB, db *gorm.DB, grown ...string) *Recorder {
	t.Helper()
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	r := &Recorder{pool: pool}
	if err := r.fill(t.Context(), grown); err != nil {
		t.Fatal(err)
	}
	db.Statement.ConnPool = recordedPool{recorded{pool, r}, pool}
	db.ConnPool = db.Statement.ConnPool
	return r
}

// During does a task beside the operations.
func (r *Recorder) During(t testing.TB, task string, do func() error) {
	t.Helper()
	r.begin(task)
	defer r.begin("")
	r.others = append(r.others, task)
	if err := do(); err != nil {
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

func (r *Recorder) keep(statement string, arguments []any) {
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

// recorded keeps what passes through it; a pool and a transaction are wrapped alike.
type recorded struct {
	gorm.ConnPool
	recorder *Recorder
}

func (c recorded) ExecContext(ctx context.Context, statement string, arguments ...any) (sql.Result, error) {
	c.recorder.keep(statement, arguments)
	return c.ConnPool.ExecContext(ctx, statement, arguments...)
}

func (c recorded) QueryContext(ctx context.Context, statement string, arguments ...any) (*sql.Rows, error) {
	c.recorder.keep(statement, arguments)
	return c.ConnPool.QueryContext(ctx, statement, arguments...)
}

func (c recorded) QueryRowContext(ctx context.Context, statement string, arguments ...any) *sql.Row {
	c.recorder.keep(statement, arguments)
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
