// Package mysql keeps the sales in their schema.
//
// A transition is made under the lock of its sale's row, and only from Pending, so
// it has one winner. Each is committed together with its line in the timeline and
// the event that tells of it.
package mysql

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/groupcommit"
	"ecommerce-stack.dev/services/internal/inbox"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations are the SQL files that make the schema.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // The directory is embedded.
	}
	return sub
}

// Store keeps sales; it implements sale.Store.
type Store struct {
	db        *gorm.DB
	outbox    *outbox.Outbox
	changed   func(saleID int64)
	creations *groupcommit.Committer[*creation]
	moves     *groupcommit.Committer[*move]
}

// New returns a store over the schema of db that says its events through o. It calls
// changed, which must not block, after each commit that adds to a sale's timeline.
func New(db *gorm.DB, o *outbox.Outbox, changed func(saleID int64)) *Store {
	s := &Store{db: db, outbox: o, changed: changed}
	s.creations, s.moves = s.newCreations(), s.newMoves()
	return s
}

// Purge forgets inbox ids and answers that are past their retention.
func (s *Store) Purge(ctx context.Context, now time.Time) error {
	for {
		n, err := inbox.Purge(ctx, s.db, now)
		if err != nil {
			return database.Classify(err)
		}
		res := s.db.WithContext(ctx).Exec("DELETE FROM requests WHERE created_at < ? LIMIT 5000", now.Add(-sale.KeyRetention))
		if res.Error != nil {
			return database.Classify(fmt.Errorf("purge answers: %w", res.Error))
		}
		if n+res.RowsAffected == 0 {
			return nil
		}
	}
}
