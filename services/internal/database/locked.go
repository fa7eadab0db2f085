package database

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gorm.io/gorm"
)

// A row counts as locked when it was in each of lookups, with a pause in between: batches of other replicas lock many rows for
// some milliseconds.
const (
	lookups     = 3
	lookupPause = 30 * time.Millisecond
)

// LockedRows returns which of the rows with these ids other transactions keep locked: those that exist, and are
// skipped each time when the others are locked for a moment.
//
// With wait it then waits for one of them, chosen at random, while it holds no other lock, and does not return it if it
// gets the lock within the lock wait timeout. So a row that many transactions use one after the other gets its turn, and a row
// that one of them keeps does not hide it for long.
func LockedRows(ctx context.Context, db *gorm.DB, table, column string, ids []int64, wait bool) (map[int64]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var rows, free []int64
	db = db.WithContext(ctx)
	query := "SELECT " + column + " FROM " + table + " WHERE " + column + " IN ? ORDER BY " + column
	err := db.Raw(query, ids).Scan(&rows).Error
	for n := 0; err == nil && len(rows) > 0 && n < lookups; n++ {
		if n > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(lookupPause):
			}
		}
		free = nil
		err = db.Raw(query+" FOR UPDATE SKIP LOCKED", rows).Scan(&free).Error
		rows = slices.DeleteFunc(rows, func(id int64) bool { return slices.Contains(free, id) })
	}
	if err != nil {
		return nil, fmt.Errorf("find locked rows of %s: %w", table, err)
	}
	if wait && len(rows) > 0 {
		i := rand.IntN(len(rows))
		switch err := db.Raw(query+" FOR UPDATE", rows[i:i+1]).Scan(&free).Error; {
		case err == nil:
			rows = slices.Delete(rows, i, i+1)
		case !IsConflict(err):
			return nil, fmt.Errorf("wait for a locked row of %s: %w", table, err)
		}
	}
	locked := make(map[int64]bool, len(rows))
	for _, id := range rows {
		locked[id] = true
	}
	return locked, nil
}
