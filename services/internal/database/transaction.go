package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sethvargo/go-retry"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/failure"
)

// maxAttempts is how often a transaction is tried while it conflicts with others.
// initialBackoff is the longest wait before the second attempt; it doubles with each
// attempt.
const (
	maxAttempts    = 8
	initialBackoff = 5 * time.Millisecond
)

// ErrRetry is wrapped by the error of a transaction that has to be retried from its
// beginning, because another transaction has written the same rows.
var ErrRetry = errors.New("another transaction wrote the same rows")

// Transact runs fn in a transaction. It retries the transaction up to 8 times with
// jittered back-off after a deadlock or an error that wraps ErrRetry, so fn must have no
// effects other than on tx. It does not retry after a lock wait timeout, which took a second
// already. Transact returns the error of ctx when it has ended, else the errors of Classify,
// and a failure of kind failure.KindUnavailable after the last attempt. IsConflict is true for
// a failure that a conflict has caused.
//
// A transaction does not commit after the deadline of ctx: when the error is
// context.DeadlineExceeded, it was rolled back. Only a COMMIT that was sent before the
// deadline may be executed after it.
func Transact(ctx context.Context, db *gorm.DB, fn func(tx *gorm.DB) error) error {
	backoff := retry.WithMaxRetries(maxAttempts-1, retry.WithFullJitter(retry.NewExponential(initialBackoff)))
	err := retry.Do(ctx, backoff, func(ctx context.Context) error {
		err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := fn(tx); err != nil {
				return err
			}
			return checkDeadline(ctx)
		})
		switch {
		case ctx.Err() != nil && (errors.Is(err, sql.ErrTxDone) || IsUnavailable(err) || IsConflict(err)):
			return ctx.Err() // database/sql rolled back, and closed the connection of a running statement.
		case isRetryable(err):
			countConflict(err)
			return retry.RetryableError(err)
		case isLockWait(err):
			countConflict(err)
		}
		return err
	})
	switch {
	case isRetryable(err):
		return failure.Unavailable(retryAfter, fmt.Errorf("transaction conflicted %d times: %w", maxAttempts, err))
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	}
	return Classify(err)
}

// checkDeadline returns context.DeadlineExceeded after the deadline of ctx. database/sql
// relies on the timer of ctx, which may fire late in a process that was suspended.
func checkDeadline(ctx context.Context) error {
	if until, ok := ctx.Deadline(); ok && !time.Now().Before(until) {
		return context.DeadlineExceeded
	}
	return nil
}
