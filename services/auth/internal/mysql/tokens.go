package mysql

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/database"
)

type tokenRow struct {
	Hash      []byte `gorm:"primaryKey"`
	Family    []byte
	UserID    int64
	ExpiresAt time.Time
	Used      bool
}

func (tokenRow) TableName() string { return "refresh_tokens" }

func (r tokenRow) token() account.RefreshToken {
	return account.RefreshToken{
		Hash: r.Hash, Family: uuid.UUID(r.Family), UserID: r.UserID, ExpiresAt: r.ExpiresAt, Used: r.Used,
	}
}

func rowOf(t account.RefreshToken) *tokenRow {
	return &tokenRow{Hash: t.Hash, Family: t.Family[:], UserID: t.UserID, ExpiresAt: t.ExpiresAt, Used: t.Used}
}

// AddToken implements account.Store.
func (s *Store) AddToken(ctx context.Context, seen account.User, t account.RefreshToken) error {
	return s.transact(ctx, "add a refresh token", func(tx *gorm.DB) error {
		u, err := lockUser(tx, seen.ID)
		if err != nil {
			return err
		}
		if string(u.PasswordHash) != string(seen.PasswordHash) || u.Disabled {
			return account.ErrInvalidCredentials
		}
		return tx.Create(rowOf(t)).Error
	})
}

// Rotate implements account.Store.
func (s *Store) Rotate(ctx context.Context, hash []byte, next account.RefreshToken, now time.Time) (account.User, error) {
	var owner account.User
	var verdict account.Verdict
	err := s.transact(ctx, "rotate a refresh token", func(tx *gorm.DB) error {
		t, u, err := lockToken(tx, hash)
		if err != nil {
			return err
		}
		owner = u
		switch verdict = t.Judge(u, now); verdict {
		case account.Rotate:
			if err := tx.Model(rowOf(t)).Update("used", true).Error; err != nil {
				return err
			}
			next.Family, next.UserID = t.Family, t.UserID
			return tx.Create(rowOf(next)).Error
		case account.Revoke:
			return endFamily(tx, t)
		}
		return nil
	})
	if err == nil && verdict != account.Rotate {
		err = account.ErrInvalidToken
	}
	return owner, err
}

// lockToken locks the owner of a token and then reads the token again, which may
// have been used or ended while the lock was awaited.
func lockToken(tx *gorm.DB, hash []byte) (account.RefreshToken, account.User, error) {
	var row tokenRow
	if err := takeToken(tx, hash, &row); err != nil {
		return account.RefreshToken{}, account.User{}, err
	}
	u, err := lockUser(tx, row.UserID)
	if err != nil {
		return account.RefreshToken{}, account.User{}, err
	}
	row = tokenRow{}
	if err := takeToken(tx, hash, &row); err != nil {
		return account.RefreshToken{}, account.User{}, err
	}
	return row.token(), u, nil
}

func takeToken(tx *gorm.DB, hash []byte, row *tokenRow) error {
	err := tx.Where("hash = ?", hash).Take(row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return account.ErrInvalidToken
	}
	return err
}

func endFamily(tx *gorm.DB, t account.RefreshToken) error {
	return tx.Where("family = ?", t.Family[:]).Delete(&tokenRow{}).Error
}

// EndFamily implements account.Store.
func (s *Store) EndFamily(ctx context.Context, hash []byte) error {
	return s.transact(ctx, "end a session", func(tx *gorm.DB) error {
		t, _, err := lockToken(tx, hash)
		if errors.Is(err, account.ErrInvalidToken) {
			return nil
		}
		if err != nil {
			return err
		}
		return endFamily(tx, t)
	})
}

// sweepBatch bounds how many rows one statement deletes, and so how long it locks.
const sweepBatch = 1000

// Sweep implements account.Store.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	db := s.db.WithContext(ctx)
	return database.Classify(errors.Join(
		deleteAll(db.Where("expires_at < ?", now), &tokenRow{}),
		deleteAll(db.Where("last_failure_at < ?", now.Add(-account.AttemptsKeptFor)), &attemptsRow{}),
	))
}

func deleteAll(query *gorm.DB, row any) error {
	query = query.Session(&gorm.Session{})
	for {
		result := query.Limit(sweepBatch).Delete(row)
		if result.Error != nil || result.RowsAffected < sweepBatch {
			return result.Error
		}
	}
}
