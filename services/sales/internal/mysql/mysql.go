// Package mysql implements the stores of the sales service.
//
// The status of a sale changes under the lock of its row, and only from Pending, so that
// of concurrent changes one succeeds. Each change is committed together with its entry in
// the timeline and its event.
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
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/sales/internal/sale"
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

// Store implements sale.Store, sale.Timelines and deadletter.Store.
type Store struct {
	db          *gorm.DB
	outbox      *outbox.Outbox
	onChange    func(ctx context.Context, changed sale.Sale, decided bool)
	creations   *groupcommit.Committer[*creation]
	repeatAfter time.Duration
}

// DefaultRepeatAfter is the time after which a command to stock is published again.
const DefaultRepeatAfter = time.Minute

// New returns a Store for the schema of db that publishes its events through o. It calls
// onChange, which must not block, after each commit that adds to the timeline of a sale;
// decided reports whether this commit decided the sale. Its context has the trace of the
// request or the event that caused the change.
func New(db *gorm.DB, o *outbox.Outbox, onChange func(ctx context.Context, changed sale.Sale, decided bool)) *Store {
	s := &Store{db: db, outbox: o, onChange: onChange, repeatAfter: DefaultRepeatAfter}
	s.creations = s.newCreations()
	return s
}

// SetRepeatAfter changes the time after which a command to stock is published again, for the
// commands that are committed later. It must be called before the store is used.
func (s *Store) SetRepeatAfter(d time.Duration) { s.repeatAfter = d }

// OldestUndecided returns the creation time of the oldest sale that waits for stock or for
// its decision, or the zero time without one. A hold whose stock is reserved waits for its
// customer and does not count.
func (s *Store) OldestUndecided(ctx context.Context) (time.Time, error) {
	var oldest []time.Time
	err := s.db.WithContext(ctx).Raw("SELECT created_at FROM sales FORCE INDEX (sales_by_status) "+
		"WHERE status = ? AND NOT (hold AND reserved) ORDER BY id LIMIT 1", sale.Pending).Scan(&oldest).Error
	if err != nil {
		return time.Time{}, database.Classify(fmt.Errorf("find the oldest undecided sale: %w", err))
	}
	if len(oldest) == 0 {
		return time.Time{}, nil
	}
	return oldest[0], nil
}

// Purge deletes stored responses whose retention has passed.
func (s *Store) Purge(ctx context.Context) error {
	return database.DeleteResults(ctx, s.db)
}
