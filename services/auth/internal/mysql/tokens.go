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
	UsedAt    *time.Time
	Client    []byte
	Salt      []byte
}

func (tokenRow) TableName() string { return "refresh_tokens" }

func (r tokenRow) token() account.RefreshToken {
	t := account.RefreshToken{
		Hash: r.Hash, Family: uuid.UUID(r.Family), UserID: r.UserID, ExpiresAt: r.ExpiresAt, Used: r.Used,
	}
	if r.UsedAt != nil {
		t.Use = account.Use{At: *r.UsedAt, Client: r.Client, Salt: r.Salt}
	}
	return t
}

// tokenRowOf returns the row of a token that is not used.
func tokenRowOf(t account.RefreshToken) *tokenRow {
	return &tokenRow{Hash: t.Hash, Family: t.Family[:], UserID: t.UserID, ExpiresAt: t.ExpiresAt}
}

// AddRefreshToken implements account.Store.
func (s *Store) AddRefreshToken(ctx context.Context, u account.User, t account.RefreshToken) error {
	return s.transact(ctx, "add a refresh token", func(tx *gorm.DB) error {
		locked, err := lockUser(tx, u.ID)
		if err != nil {
			return err
		}
		if string(locked.PasswordHash) != string(u.PasswordHash) || locked.Disabled {
			return account.ErrInvalidCredentials
		}
		return tx.Create(tokenRowOf(t)).Error
	})
}

// Rotate implements account.Store.
func (s *Store) Rotate(ctx context.Context, hash []byte, next account.RefreshToken, use account.Use, grace time.Duration) (account.User, []byte, error) {
	var owner account.User
	var salt []byte
	err := s.transact(ctx, "rotate a refresh token", func(tx *gorm.DB) error {
		salt = nil
		t, u, err := lockToken(tx, hash)
		if err != nil {
			return err
		}
		owner = u
		switch t.Action(u, use, grace) {
		case account.RotateToken:
			used := map[string]any{"used": true, "used_at": use.At, "client": database.Binary(use.Client), "salt": database.Binary(use.Salt)}
			if err := tx.Model(tokenRowOf(t)).Updates(used).Error; err != nil {
				return err
			}
			salt, next.Family, next.UserID = use.Salt, t.Family, t.UserID
			return tx.Create(tokenRowOf(next)).Error
		case account.RepeatToken:
			salt = t.Use.Salt
		case account.RevokeFamily:
			return revokeFamily(tx, t)
		case account.RejectToken:
		}
		return nil
	})
	if err == nil && salt == nil {
		err = account.ErrInvalidRefreshToken
	}
	return owner, salt, err
}

// lockToken locks the owner of a token, and then reads the token again, because it may have been
// used or revoked before the lock was acquired.
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
		return account.ErrInvalidRefreshToken
	}
	return err
}

func revokeFamily(tx *gorm.DB, t account.RefreshToken) error {
	return tx.Where("family = ?", t.Family[:]).Delete(&tokenRow{}).Error
}

// RevokeFamily implements account.Store.
func (s *Store) RevokeFamily(ctx context.Context, hash []byte) error {
	return s.transact(ctx, "revoke the tokens of a session", func(tx *gorm.DB) error {
		t, _, err := lockToken(tx, hash)
		if errors.Is(err, account.ErrInvalidRefreshToken) {
			return nil
		}
		if err != nil {
			return err
		}
		return revokeFamily(tx, t)
	})
}

// deleteBatch is the number of rows that one statement deletes, to bound the time for which it
// holds locks.
const deleteBatch = 1000

// DeleteExpired implements account.Store.
func (s *Store) DeleteExpired(ctx context.Context, now time.Time) error {
	db := s.db.WithContext(ctx)
	return database.Classify(errors.Join(
		deleteAll(db.Where("expires_at <= ?", now), &tokenRow{}),
		database.DeleteResults(ctx, s.db),
		deleteAll(db.Where("last_failure_at < ?", now.Add(-account.AttemptsTTL)), &attemptsRow{}),
	))
}

func deleteAll(query *gorm.DB, row any) error {
	query = query.Session(&gorm.Session{})
	for {
		result := query.Limit(deleteBatch).Delete(row)
		if result.Error != nil || result.RowsAffected < deleteBatch {
			return result.Error
		}
	}
}
