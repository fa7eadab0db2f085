package mysql

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/database"
)

// IsRestored implements account.Store.
func (s *Store) IsRestored(ctx context.Context, request string) (bool, error) {
	var found int
	err := s.db.WithContext(ctx).Raw("SELECT COUNT(*) FROM manager_restorations WHERE request = ?", request).Scan(&found).Error
	if err != nil {
		return false, database.Classify(fmt.Errorf("find a restoration: %w", err))
	}
	return found > 0, nil
}

// RestoreManager implements account.Store.
func (s *Store) RestoreManager(ctx context.Context, id int64, hash []byte, request string) (bool, error) {
	var restored bool
	err := s.transact(ctx, "restore a manager", func(tx *gorm.DB) error {
		restored = false
		if _, err := lockUser(tx, id); err != nil {
			return err
		}
		insert := tx.Exec("INSERT IGNORE INTO manager_restorations (request, user_id, restored_at) VALUES (?, ?, NOW(6))", request, id)
		if insert.Error != nil || insert.RowsAffected == 0 {
			return insert.Error // another replica has fulfilled the request
		}
		restored = true
		changes := map[string]any{"disabled": false, "role": authn.Manager, "password_hash": hash}
		if err := tx.Model(&userRow{ID: id}).Updates(changes).Error; err != nil {
			return err
		}
		if err := revokeAccessTokens(tx, id); err != nil {
			return err
		}
		return revokeTokens(tx, id)
	})
	return restored, err
}
