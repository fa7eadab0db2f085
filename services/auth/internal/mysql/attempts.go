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

// attemptsRow is a row of login_attempts. Its email_hash is the Key of a Counter.
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

// minTime is stored in place of the zero time, which MySQL cannot store.
var minTime = time.Unix(0, 0).UTC()

// Attempts implements account.Store.
func (s *Store) Attempts(ctx context.Context, c account.Counter) (account.Attempts, error) {
	var row attemptsRow
	err := s.db.WithContext(ctx).Where("email_hash = ?", c.Key[:]).Take(&row).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return account.Attempts{}, database.Classify(fmt.Errorf("read login attempts: %w", err))
	}
	return row.attempts(), nil
}

// AddFailure implements account.Store.
func (s *Store) AddFailure(ctx context.Context, counters []account.Counter, now time.Time) error {
	return s.transact(ctx, "count a failed login", func(tx *gorm.DB) error {
		for _, c := range counters {
			if err := addFailure(tx, c, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// addFailure inserts the row and then locks it, so that concurrent failures are all counted. ON
// DUPLICATE KEY UPDATE locks an existing row exclusively. INSERT IGNORE would take a shared lock,
// and two transactions that upgrade theirs would deadlock.
func addFailure(tx *gorm.DB, c account.Counter, now time.Time) error {
	row := attemptsRow{EmailHash: c.Key[:], LastFailureAt: now, BlockedUntil: minTime}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return err
	}
	row = attemptsRow{}
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("email_hash = ?", c.Key[:]).Take(&row).Error; err != nil {
		return err
	}
	a := c.AddFailure(row.attempts(), now)
	if a.BlockedUntil.Before(minTime) {
		a.BlockedUntil = minTime
	}
	return tx.Model(&row).Updates(map[string]any{
		"failures": a.Failures, "last_failure_at": a.LastFailure, "blocked_until": a.BlockedUntil,
	}).Error
}

// ResetAttempts implements account.Store.
func (s *Store) ResetAttempts(ctx context.Context, c account.Counter) error {
	if err := s.db.WithContext(ctx).Where("email_hash = ?", c.Key[:]).Delete(&attemptsRow{}).Error; err != nil {
		return database.Classify(fmt.Errorf("reset failed logins: %w", err))
	}
	return nil
}
