package mysql

import (
	"context"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Confirm implements sale.Store.
func (s *Store) Confirm(ctx context.Context, id, customerID int64) (sale.Sale, error) {
	return s.transition(ctx, id, customerID, func(found *sale.Sale, now time.Time) (event.Data, error) {
		confirmed, err := found.Confirm(now)
		if err != nil {
			return nil, err
		}
		return confirmed, nil
	})
}

// Cancel implements sale.Store.
func (s *Store) Cancel(ctx context.Context, id, customerID int64) error {
	_, err := s.transition(ctx, id, customerID, func(found *sale.Sale, now time.Time) (event.Data, error) {
		canceled, err := found.Cancel(event.ReasonCustomer, now)
		if err != nil || canceled == nil {
			return nil, err
		}
		return *canceled, nil
	})
	return err
}

// transition changes a sale of a customer with fn, which returns the event to publish, or
// nil when nothing changed, and an error when the transition is not allowed.
func (s *Store) transition(ctx context.Context, id, customerID int64, fn func(*sale.Sale, time.Time) (event.Data, error)) (sale.Sale, error) {
	var result sale.Sale
	err := s.change(ctx, func(tx *outbox.Tx) (*changeSet, error) {
		changes, err := lockSales(tx.DB, []int64{id})
		if err != nil {
			return nil, err
		}
		found := changes.sales[id]
		if found == nil || found.CustomerID != customerID {
			return nil, sale.ErrNotFound
		}
		now := database.Now()
		published, err := fn(found, now)
		result = *found
		if err != nil || published == nil {
			return nil, err
		}
		tx.Publish(published)
		return changes, changes.record(id, published, now)
	})
	return result, err
}
