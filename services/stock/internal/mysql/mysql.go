// Package mysql implements the stores of the stock service.
//
// The quantities of a product change only under the lock of its row in stocks. Rows are
// locked in the order of their ids, reservations before stocks, and products are read after
// these locks.
package mysql

import (
	"embed"
	"io/fs"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/outbox"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations returns the SQL files that create the schema.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // The directory is embedded.
	}
	return sub
}

// Store implements catalog.Store, messaging.Store and httpapi.Inventory.
type Store struct {
	db     *gorm.DB
	outbox *outbox.Outbox
}

// New returns a Store for the schema of db that publishes its events through o.
func New(db *gorm.DB, o *outbox.Outbox) *Store { return &Store{db: db, outbox: o} }
