package mysql

import (
	"context"
	"fmt"

	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Apply implements messaging.Store. An event that was applied before changes nothing: its
// sale has left the status in which it had an effect, and insertEntries skips its entry.
func (s *Store) Apply(ctx context.Context, batch []sale.Command) error {
	sales := make([]int64, len(batch))
	for i, c := range batch {
		sales[i] = c.SaleID
	}
	return s.change(ctx, func(tx *outbox.Tx) (*changeSet, error) {
		changes, err := lockSales(tx.DB, sales)
		if err != nil {
			return nil, err
		}
		for _, c := range batch {
			if err := apply(tx, changes, c); err != nil {
				return nil, err
			}
		}
		return changes, nil
	})
}

// Locked implements messaging.Store.
func (s *Store) Locked(ctx context.Context, sales []int64, wait bool) (map[int64]bool, error) {
	return database.LockedRows(ctx, s.db, "sales", "id", sales, wait)
}

// apply applies a command to its sale, and publishes the event that it causes.
func apply(tx *outbox.Tx, changes *changeSet, c sale.Command) error {
	s := changes.sales[c.SaleID]
	if s == nil {
		return fmt.Errorf("%s of sale %d, which does not exist: %w", c.Event.EventType(), c.SaleID, broker.ErrPoison)
	}
	now := database.Now()
	published, applied, err := s.Apply(c.Event, now)
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrPoison, err)
	}
	if !applied {
		return nil
	}
	changes.traces[c.SaleID] = c.TraceParent
	if err := changes.record(c.SaleID, c.Event, now); err != nil {
		return err
	}
	if published == nil {
		return nil
	}
	tx.PublishWithTrace(c.TraceParent, published)
	return changes.record(c.SaleID, published, now)
}
