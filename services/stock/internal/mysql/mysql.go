// Package mysql keeps the stock service's catalogue and inventory in its schema.
//
// Every change of a product's quantities happens under the lock of its stocks row;
// rows are locked in the order of their ids, reservations before stocks. What the
// catalogue says of a product is read after that lock.
package mysql

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/inbox"
	"ecommerce-stack.dev/services/internal/outbox"
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

// Store keeps the catalogue and the inventory.
type Store struct {
	db     *gorm.DB
	outbox *outbox.Outbox
}

// New returns a store over the schema of db that says its events through o.
func New(db *gorm.DB, o *outbox.Outbox) *Store { return &Store{db: db, outbox: o} }

// Purge forgets inbox ids that are past their retention.
func (s *Store) Purge(ctx context.Context, now time.Time) error {
	for {
		n, err := inbox.Purge(ctx, s.db, now)
		if err != nil || n == 0 {
			return database.Classify(err)
		}
	}
}
