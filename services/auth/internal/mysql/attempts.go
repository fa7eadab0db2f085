package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/database"
)

// attemptsRow has the Key of a Counter in its column email_hash.
type attemptsRow struct {
	EmailHash     []byte `gorm:"primaryKey"`
	Failures      int
	LastFailureAt time.Time
	BlockedUntil  time.Time
}

func (attemptsRow) TableName() string { return "login_attempts" }

func (r attemptsRow) attempts() account.Attempts {
	return account.Attempts{Failures: r.Failures, LastFailure: r.LastFailureAt, BlockedUntil: r.BlockedUntil}
}

// never stands for the zero time, which MySQL cannot store.
var never = time.Unix(0, 0).UTC()

// Attempts implements account.Store.
func (s *Store) Attempts(ctx context.Context, c account.Counter) (account.Attempts, error) {
	var row attemptsRow
	err := s.db.WithContext(ctx).Where("email_hash = ?", c.Key[:]).Take(&row).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return account.Attempts{}, database.Classify(fmt.Errorf("read login attempts: %w", err))
	}
	return row.attempts(), nil
}

// Fail implements account.Store.
func (s *Store) Fail(ctx context.Context, counters []account.Counter, now time.Time) error {
	return s.transact(ctx, "count a failed login", func(tx *gorm.DB) error {
		for _, c := range counters {
			if err := fail(tx, c, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// fail inserts the row first and then locks it, so that concurrent failures are all
// counted. ON DUPLICATE KEY UPDATE locks an existing row exclusively. INSERT IGNORE
// would share the lock, and two transactions that both upgrade theirs are a deadlock.
func fail(tx *gorm.DB, c account.Counter, now time.Time) error {
	row := attemptsRow{EmailHash: c.Key[:], LastFailureAt: now, BlockedUntil: never}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return err
	}
	row = attemptsRow{}
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("email_hash = ?", c.Key[:]).Take(&row).Error; err != nil {
		return err
	}
	a := c.Failed(row.attempts(), now)
	if a.BlockedUntil.Before(never) {
		a.BlockedUntil = never
	}
	return tx.Model(&row).Updates(map[string]any{
		"failures": a.Failures, "last_failure_at": a.LastFailure, "blocked_until": a.BlockedUntil,
	}).Error
}

// Forget implements account.Store.
func (s *Store) Forget(ctx context.Context, c account.Counter) error {
	if err := s.db.WithContext(ctx).Where("email_hash = ?", c.Key[:]).Delete(&attemptsRow{}).Error; err != nil {
		return database.Classify(fmt.Errorf("forget failed logins: %w", err))
	}
	return nil
}
