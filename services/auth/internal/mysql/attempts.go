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

type attemptsRow struct {
	EmailHash     []byte `gorm:"primaryKey"`
	Failures      int
	LastFailureAt time.Time
	BlockedUntil  time.Time
}

func (attemptsRow) TableName() string { return "login_attempts" }

// Attempts implements account.Store.
func (s *Store) Attempts(ctx context.Context, key []byte) (account.Attempts, error) {
	var row attemptsRow
	err := s.db.WithContext(ctx).Where("email_hash = ?", key).Take(&row).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return account.Attempts{}, database.Classify(fmt.Errorf("read login attempts: %w", err))
	}
	return account.Attempts{Failures: row.Failures, LastFailure: row.LastFailureAt, BlockedUntil: row.BlockedUntil}, nil
}

// Fail implements account.Store. The row is made first and then locked, so that
// failures at the same moment are all counted.
func (s *Store) Fail(ctx context.Context, key []byte, now time.Time) error {
	return s.transact(ctx, "count a failed login", func(tx *gorm.DB) error {
		empty := attemptsRow{EmailHash: key, LastFailureAt: now, BlockedUntil: now}
		if err := tx.Clauses(clause.Insert{Modifier: "IGNORE"}).Create(&empty).Error; err != nil {
			return err
		}
		var row attemptsRow
		locking := clause.Locking{Strength: "UPDATE"}
		if err := tx.Clauses(locking).Where("email_hash = ?", key).Take(&row).Error; err != nil {
			return err
		}
		a := account.Attempts{Failures: row.Failures, LastFailure: row.LastFailureAt, BlockedUntil: row.BlockedUntil}.Failed(now)
		return tx.Model(&row).Updates(map[string]any{
			"failures": a.Failures, "last_failure_at": a.LastFailure, "blocked_until": later(a.BlockedUntil, now),
		}).Error
	})
}

// later keeps the zero time, which MySQL has no place for, out of a column.
func later(t, least time.Time) time.Time {
	if t.Before(least) {
		return least
	}
	return t
}

// Forget implements account.Store.
func (s *Store) Forget(ctx context.Context, key []byte) error {
	if err := s.db.WithContext(ctx).Where("email_hash = ?", key).Delete(&attemptsRow{}).Error; err != nil {
		return database.Classify(fmt.Errorf("forget failed logins: %w", err))
	}
	return nil
}
