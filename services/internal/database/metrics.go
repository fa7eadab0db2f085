package database

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/telemetry"
)

// Kinds of conflicts, which are values of a label.
const (
	kindDeadlock = "deadlock"
	kindLockWait = "lock_wait"
	kindWrite    = "write" // ErrRetry
)

// conflicts belongs to the process, because a process has one database.
var conflicts = telemetry.NewCounterVec("ecommerce_database_conflicts_total",
	"Attempts of transactions that were rolled back because of another transaction, by kind: deadlock, lock_wait (it waited too long for a lock) or write (the other one wrote the same rows).",
	"kind", kindDeadlock, kindLockWait, kindWrite)

// RegisterMetrics registers the metrics of the connection pool, with the label db_name, and
// of transactions with reg.
func RegisterMetrics(db *gorm.DB, name string, reg prometheus.Registerer) error {
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("register the metrics of the database: %w", err)
	}
	reg.MustRegister(collectors.NewDBStatsCollector(pool, name), conflicts)
	return nil
}

// countConflict counts an attempt of a transaction that ended with the retryable error err.
func countConflict(err error) {
	kind := kindDeadlock
	switch {
	case errors.Is(err, ErrRetry):
		kind = kindWrite
	case errorNumber(err) == lockWaitTimeout:
		kind = kindLockWait
	}
	conflicts.WithLabelValues(kind).Inc()
}
