// Package inbox implements idempotent consumers: the id of an event is written to a table
// in the transaction of its effects, and an event whose id exists is not handled again.
package inbox

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
)

// Retention is how long ids are stored. For an event that is redriven later, only the
// state machines prevent a second effect.
const Retention = 14 * 24 * time.Hour

// Claim inserts the ids of batch and returns the events that are new, without duplicates,
// in their order. It waits for transactions that are inserting the same ids.
func Claim(tx *gorm.DB, batch []event.Envelope) ([]event.Envelope, error) {
	unique := make([]event.Envelope, 0, len(batch))
	seen := make(map[uuid.UUID]bool, len(batch))
	for _, e := range batch {
		if !seen[e.ID] {
			seen[e.ID] = true
			unique = append(unique, e)
		}
	}
	claim := uuid.New()
	inserted, err := insertIDs(tx, unique, claim)
	if err != nil || inserted == int64(len(unique)) {
		return unique, err
	}
	return selectClaimed(tx, unique, claim)
}

// insertIDs inserts the ids in their order, so that concurrent batches do not deadlock, and
// returns the number of new ones.
func insertIDs(tx *gorm.DB, batch []event.Envelope, claim uuid.UUID) (int64, error) {
	ids := make([]uuid.UUID, len(batch))
	for i, e := range batch {
		ids[i] = e.ID
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	arguments := make([]any, 0, 2*len(ids))
	for _, id := range ids {
		arguments = append(arguments, database.Binary(id[:]), database.Binary(claim[:]))
	}
	res := tx.Exec("INSERT IGNORE INTO inbox (event_id, claim) VALUES "+
		strings.Repeat(",(?,?)", len(ids))[1:], arguments...)
	if res.Error != nil {
		return 0, fmt.Errorf("write %d ids to the inbox: %w", len(ids), res.Error)
	}
	return res.RowsAffected, nil
}

// selectClaimed returns the events of batch whose ids were inserted with claim.
func selectClaimed(tx *gorm.DB, batch []event.Envelope, claim uuid.UUID) ([]event.Envelope, error) {
	arguments := make([]database.Binary, len(batch))
	for i, e := range batch {
		arguments[i] = e.ID[:]
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
	return slices.DeleteFunc(batch, func(e event.Envelope) bool { return !claimed[e.ID] }), nil
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
