// Package inbox implements idempotent consumers: the id of an event is written to a table
// in the transaction of its effects, and an event whose id exists is not handled again.
package inbox

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
)

// Retention is how long ids are stored. For an event that is redriven later, only the
// state machines prevent a second effect.
const Retention = 14 * 24 * time.Hour

// Claim inserts the ids of events and returns those that are new. It waits for transactions
// that are inserting the same ids.
func Claim(tx *gorm.DB, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	// The order prevents deadlocks of concurrent batches.
	ids = slices.SortedFunc(slices.Values(ids), compare)
	ids = slices.Compact(ids)
	claim := uuid.New()
	arguments := make([]any, 0, 2*len(ids))
	for _, id := range ids {
		arguments = append(arguments, database.Binary(id[:]), database.Binary(claim[:]))
	}
	res := tx.Exec("INSERT IGNORE INTO inbox (event_id, claim) VALUES "+database.Placeholders(len(ids), 2), arguments...)
	if res.Error != nil {
		return nil, fmt.Errorf("write %d ids to the inbox: %w", len(ids), res.Error)
	}
	if res.RowsAffected < int64(len(ids)) {
		return selectClaimed(tx, ids, claim)
	}
	claimed := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		claimed[id] = true
	}
	return claimed, nil
}

func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// selectClaimed returns the ids that were inserted with claim.
func selectClaimed(tx *gorm.DB, ids []uuid.UUID, claim uuid.UUID) (map[uuid.UUID]bool, error) {
	arguments := make([]database.Binary, len(ids))
	for i, id := range ids {
		arguments[i] = id[:]
	}
	var rows [][]byte
	err := tx.Raw("SELECT event_id FROM inbox WHERE event_id IN ? AND claim = ?", arguments, database.Binary(claim[:])).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the inbox: %w", err)
	}
	claimed := make(map[uuid.UUID]bool, len(rows))
	for _, r := range rows {
		claimed[uuid.UUID(r)] = true
	}
	return claimed, nil
}

// Purge deletes up to 5000 ids that are older than Retention and returns their number. The
// ids are ordered by time (see event.FirstID), so the primary key is used to find them.
func Purge(ctx context.Context, db *gorm.DB, now time.Time) (int64, error) {
	before := event.FirstID(now.Add(-Retention))
	res := db.WithContext(ctx).Exec("DELETE FROM inbox WHERE event_id < ? LIMIT 5000", database.Binary(before[:]))
	if res.Error != nil {
		return 0, fmt.Errorf("purge the inbox: %w", res.Error)
	}
	return res.RowsAffected, nil
}
