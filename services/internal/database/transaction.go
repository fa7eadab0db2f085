package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/failure"
)

// attempts of a transaction that loses against others, and the longest pause
// before the second one; it doubles before each next.
const (
	attempts   = 8
	firstPause = 5 * time.Millisecond
)

// ErrAgain is wrapped by the error of a transaction that should be repeated from
// the start: another one wrote first what this one was about to write.
var ErrAgain = errors.New("another transaction was first")

// Transact runs fn in a transaction and repeats it, a bounded number of times and
// with jitter, when it was a deadlock's victim, waited too long for a lock, or says
// ErrAgain. So fn must have no effect but on tx. Errors are classified. A transaction
// does not commit after the deadline of ctx: an error that is context.DeadlineExceeded
// means that it was rolled back. Only a COMMIT that was sent in time may be executed
// later.
func Transact(ctx context.Context, db *gorm.DB, fn func(tx *gorm.DB) error) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := fn(tx); err != nil {
				return err
			}
			return checkDeadline(ctx)
		})
		if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
			err = ctx.Err() // database/sql rolled back when ctx ended.
		}
		if err == nil || !IsConflict(err) && !errors.Is(err, ErrAgain) {
			return Classify(err)
		}
		if attempt == attempts {
			return failure.Unavailable(retryAfter, fmt.Errorf("transaction lost %d times: %w", attempts, err))
		}
		select {
		case <-ctx.Done():
			return Classify(ctx.Err())
		case <-time.After(rand.N(pause)):
		}
		pause *= 2
	}
}

// checkDeadline returns context.DeadlineExceeded after the deadline of ctx. The timer
// of ctx, on which database/sql relies, may fire late in a process that was stopped.
func checkDeadline(ctx context.Context) error {
	if until, ok := ctx.Deadline(); ok && !time.Now().Before(until) {
		return context.DeadlineExceeded
	}
	return nil
}
