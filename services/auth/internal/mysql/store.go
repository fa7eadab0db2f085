// Package mysql implements account.Store on MySQL.
package mysql

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/idempotency"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations returns the migrations of the schema.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// Store implements account.Store.
type Store struct{ db *gorm.DB }

// NewStore returns a Store on a migrated schema.
func NewStore(db *gorm.DB) *Store { return &Store{db} }

var _ account.Store = (*Store)(nil)

type userRow struct {
	ID           int64 `gorm:"primaryKey"`
	Username     string
	Email        string
	PasswordHash []byte `json:"-"` // is not stored with a response
	Role         string
	Disabled     bool
	CreatedAt    time.Time
	Generation   int64 `gorm:"column:token_generation" json:"-"`
}

func (userRow) TableName() string { return "users" }

func (r userRow) user() account.User {
	return account.User{
		ID: r.ID, Username: r.Username, Email: r.Email, Role: authn.Role(r.Role), Disabled: r.Disabled,
		CreatedAt: r.CreatedAt, PasswordHash: r.PasswordHash, Generation: r.Generation,
	}
}

// Create implements account.Store.
func (s *Store) Create(ctx context.Context, u account.User, managerID int64, r idempotency.Request) (account.User, error) {
	var created userRow
	err := s.transact(ctx, "add a user", func(tx *gorm.DB) error {
		if managerID != 0 {
			if err := lockManager(tx, managerID); err != nil {
				return err
			}
		}
		_, err := database.Once(tx, r, &created, func() error {
			created = userRow{Username: u.Username, Email: u.Email, PasswordHash: u.PasswordHash, Role: string(u.Role), Disabled: u.Disabled, CreatedAt: u.CreatedAt}
			return tx.Create(&created).Error
		})
		return err
	})
	if database.IsDuplicate(err) {
		return account.User{}, account.ErrEmailTaken
	}
	return created.user(), err
}

// Created implements account.Store.
func (s *Store) Created(ctx context.Context, r idempotency.Request) (account.User, bool, error) {
	var row userRow
	found, err := database.StoredResult(s.db.WithContext(ctx), r, &row)
	return row.user(), found, database.Classify(err)
}

// ByID implements account.Store.
func (s *Store) ByID(ctx context.Context, id int64) (account.User, error) {
	return takeUser(s.db.WithContext(ctx).Where("id = ?", id))
}

// ByEmail implements account.Store.
func (s *Store) ByEmail(ctx context.Context, email string) (account.User, error) {
	return takeUser(s.db.WithContext(ctx).Where("email = ?", email))
}

// takeUser returns the user that a query selects, or account.ErrUserNotFound.
func takeUser(query *gorm.DB) (account.User, error) {
	var row userRow
	err := query.Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return account.User{}, account.ErrUserNotFound
	}
	if err != nil {
		return account.User{}, database.Classify(fmt.Errorf("read a user: %w", err))
	}
	return row.user(), nil
}

// List implements account.Store.
func (s *Store) List(ctx context.Context, after int64, limit int) ([]account.User, error) {
	return listUsers(s.db.WithContext(ctx).Where("id > ?", after).Limit(limit))
}

// listUsers returns the users that a query selects, in the order of their ids.
func listUsers(query *gorm.DB) ([]account.User, error) {
	var rows []userRow
	if err := query.Order("id").Find(&rows).Error; err != nil {
		return nil, database.Classify(fmt.Errorf("list users: %w", err))
	}
	users := make([]account.User, len(rows))
	for i, r := range rows {
		users[i] = r.user()
	}
	return users, nil
}

// InternationalEmails implements account.Store.
func (s *Store) InternationalEmails(ctx context.Context, after int64, limit int) ([]account.User, error) {
	return listUsers(s.db.WithContext(ctx).Where("id > ? AND (LENGTH(email) <> CHAR_LENGTH(email) OR email LIKE '%xn--%')", after).Limit(limit))
}

// SetEmail implements account.Store.
func (s *Store) SetEmail(ctx context.Context, id int64, previous, email string) error {
	err := s.db.WithContext(ctx).Model(&userRow{}).Where("id = ? AND email = ?", id, previous).Update("email", email).Error
	switch {
	case database.IsDuplicate(err):
		return account.ErrEmailTaken
	case err != nil:
		return database.Classify(fmt.Errorf("set an email: %w", err))
	}
	return nil
}

// SetDisabled implements account.Store.
func (s *Store) SetDisabled(ctx context.Context, managerID, id int64, disabled bool) (account.User, error) {
	var u account.User
	err := s.transact(ctx, "change a user", func(tx *gorm.DB) error {
		// In the order of the ids, so that two managers who change each other do not deadlock.
		if id < managerID {
			if _, err := lockUser(tx, id); err != nil && !errors.Is(err, account.ErrUserNotFound) {
				return err
			}
		}
		if err := lockManager(tx, managerID); err != nil {
			return err
		}
		var err error
		if u, err = lockUser(tx, id); err != nil {
			return err
		}
		if disabled && id == managerID {
			return refuseOwnAccount(tx, id)
		}
		if u.Disabled == disabled {
			return nil
		}
		u.Disabled = disabled
		if err := tx.Model(&userRow{ID: id}).Update("disabled", disabled).Error; err != nil || !disabled {
			return err
		}
		if err := revokeAccessTokens(tx, id); err != nil {
			return err
		}
		return revokeTokens(tx, id)
	})
	return u, err
}

// revokeAccessTokens begins a new generation of the access tokens of a user.
func revokeAccessTokens(tx *gorm.DB, id int64) error {
	return tx.Model(&userRow{ID: id}).Updates(map[string]any{
		"token_generation": gorm.Expr("token_generation + 1"), "tokens_revoked_at": gorm.Expr("NOW(6)"),
	}).Error
}

// Revocations implements account.Store.
func (s *Store) Revocations(ctx context.Context, ttl time.Duration) ([]authn.Revocation, error) {
	var rows []userRow
	err := s.db.WithContext(ctx).Select("id", "token_generation", "disabled").
		Where("tokens_revoked_at > NOW(6) - INTERVAL ? MICROSECOND", ttl.Microseconds()).
		Order("tokens_revoked_at DESC").Limit(authn.MaxRevocations).Find(&rows).Error
	if err != nil {
		return nil, database.Classify(fmt.Errorf("read the revocations: %w", err))
	}
	revocations := make([]authn.Revocation, len(rows))
	for i, r := range rows {
		revocations[i] = authn.Revocation{UserID: r.ID, Generation: r.Generation, Disabled: r.Disabled}
	}
	return revocations, nil
}

// lockManager locks the row of a user and returns the errors of account.User.MayManage.
func lockManager(tx *gorm.DB, id int64) error {
	u, err := lockUser(tx, id)
	if err != nil && !errors.Is(err, account.ErrUserNotFound) {
		return err
	}
	return u.MayManage()
}

// refuseOwnAccount returns the error for a manager who would disable their own account.
func refuseOwnAccount(tx *gorm.DB, id int64) error {
	var other userRow
	err := tx.Where("role = ? AND disabled = ? AND id <> ?", authn.Manager, false, id).Take(&other).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return account.ErrLastManager
	}
	if err != nil {
		return fmt.Errorf("find another manager: %w", err)
	}
	return account.ErrOwnAccount
}

// Rehash implements account.Store.
func (s *Store) Rehash(ctx context.Context, id int64, previous, hash []byte) error {
	err := s.db.WithContext(ctx).Model(&userRow{}).Where("id = ? AND password_hash = ?", id, previous).Update("password_hash", hash).Error
	if err != nil {
		return database.Classify(fmt.Errorf("rehash a password: %w", err))
	}
	return nil
}

// SetPassword implements account.Store.
func (s *Store) SetPassword(ctx context.Context, id int64, previous, hash []byte) error {
	return s.transact(ctx, "change a password", func(tx *gorm.DB) error {
		u, err := lockUser(tx, id)
		if err != nil {
			return err
		}
		if u.Disabled {
			return account.ErrAccountDisabled
		}
		if string(u.PasswordHash) != string(previous) {
			return account.ErrInvalidCredentials
		}
		if err := tx.Model(&userRow{ID: id}).Update("password_hash", hash).Error; err != nil {
			return err
		}
		return revokeTokens(tx, id)
	})
}

// lockUser returns a user and locks its row, so that changes of a user and its tokens are made one
// after the other.
func lockUser(tx *gorm.DB, id int64) (account.User, error) {
	return takeUser(tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ?", id))
}

func revokeTokens(tx *gorm.DB, userID int64) error {
	return tx.Where("user_id = ?", userID).Delete(&tokenRow{}).Error
}

// transact runs fn in a transaction, and returns its error with the name of the operation,
// classified.
func (s *Store) transact(ctx context.Context, operation string, fn func(tx *gorm.DB) error) error {
	if err := database.Transact(ctx, s.db, fn); err != nil {
		return database.Classify(fmt.Errorf("%s: %w", operation, err))
	}
	return nil
}
