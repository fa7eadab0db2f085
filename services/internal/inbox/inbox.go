// Package inbox makes a redelivered event change nothing: the id of an event is
// written in the transaction of its effect, and an id that is there already is not
// handled again.
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

// Retention is how long ids are kept. An event that is redriven later is caught by
// the state machines alone.
const Retention = 14 * 24 * time.Hour

// Claim writes the ids of batch and returns the events that are new, once each, in
// their order. An event that another replica has in hand is waited for.
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
	inserted, err := insert(tx, unique, claim)
	if err != nil || inserted == int64(len(unique)) {
		return unique, err
	}
	return claimed(tx, unique, claim)
}

// insert writes the ids in order, so that two batches never wait for each other in
// a circle, and returns how many were new.
func insert(tx *gorm.DB, batch []event.Envelope, claim uuid.UUID) (int64, error) {
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

func claimed(tx *gorm.DB, batch []event.Envelope, claim uuid.UUID) ([]event.Envelope, error) {
	arguments := make([]database.Binary, len(batch))
	for i, e := range batch {
		arguments[i] = e.ID[:]
	}
	var rows [][]byte
	err := tx.Raw("SELECT event_id FROM inbox WHERE event_id IN ? AND claim = ?", arguments, database.Binary(claim[:])).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the inbox: %w", err)
	}
	ours := make(map[uuid.UUID]bool, len(rows))
	for _, r := range rows {
		ours[uuid.UUID(r)] = true
	}
	return slices.DeleteFunc(batch, func(e event.Envelope) bool { return !ours[e.ID] }), nil
}

// Purge deletes ids older than Retention, a bounded number at once, and returns
// how many. The ids are UUIDv7: their first six bytes are the event's time in
// milliseconds (RFC 9562, section 5.7), so the primary key finds the old ones.
func Purge(ctx context.Context, db *gorm.DB, now time.Time) (int64, error) {
	before := event.FirstID(now.Add(-Retention))
	res := db.WithContext(ctx).Exec("DELETE FROM inbox WHERE event_id < ? LIMIT 5000", database.Binary(before[:]))
	if res.Error != nil {
		return 0, fmt.Errorf("purge the inbox: %w", res.Error)
	}
	return res.RowsAffected, nil
}
