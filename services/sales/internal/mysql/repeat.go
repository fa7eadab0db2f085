package mysql

import (
	"context"
	"fmt"
	"time"

	"ecommerce-stack.dev/services/internal/outbox"
)

const (
	// repeatBatch is the maximum number of sales whose commands one transaction repeats.
	repeatBatch = 100
	// maxRepeatInterval limits the time between two repetitions. It doubles from one to the
	// next, so that a long outage of stock does not fill the queue with copies.
	maxRepeatInterval = time.Hour
)

// Repeat publishes the last command of up to 100 sales again, to which stock has not responded
// in time because the broker lost the command or the response. It returns the numbers of events
// by type. It skips rows that another transaction has locked, and repeats none while the outbox is
// behind, because the commands then wait there.
func (s *Store) Repeat(ctx context.Context) (map[string]int, error) {
	var repeated map[string]int
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		repeated = map[string]int{}
		changes, err := lock(tx.DB, "repeat_at <= NOW(6) ORDER BY repeat_at LIMIT ? FOR UPDATE SKIP LOCKED", repeatBatch)
		if err != nil || len(changes.sales) == 0 {
			return err
		}
		if behind, err := tx.IsBehind(); err != nil || behind {
			return err
		}
		ids := make([]int64, 0, len(changes.sales))
		for id, found := range changes.sales {
			command := found.Repeat()
			tx.Publish(command)
			repeated[command.EventType()]++
			ids = append(ids, id)
		}
		err = tx.Exec("UPDATE sales SET repeat_at = NOW(6) + INTERVAL LEAST(GREATEST(TIMESTAMPDIFF(MICROSECOND, updated_at, NOW(6)), ?), ?) MICROSECOND "+
			"WHERE id IN ?", s.repeatAfter.Microseconds(), maxRepeatInterval.Microseconds(), ids).Error
		if err != nil {
			return fmt.Errorf("postpone the commands of %d sales: %w", len(ids), err)
		}
		return nil
	})
	return repeated, err
}
