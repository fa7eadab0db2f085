package mysql

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/inbox"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Apply claims the events of a batch and applies those that are new, all in one
// transaction. received maps the ids of the events to what they do. The error wraps
// broker.ErrPoison when a sale does not exist.
func (s *Store) Apply(ctx context.Context, batch []event.Envelope, received map[string]sale.StockEvent) error {
	var changed map[int64]bool
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		fresh, err := inbox.Claim(tx.DB, batch)
		if err != nil || len(fresh) == 0 {
			return err
		}
		ids := make([]int64, len(fresh))
		for i, e := range fresh {
			ids[i] = received[e.ID.String()].SaleID
		}
		sales, err := lockSales(tx.DB, ids)
		if err != nil {
			return err
		}
		c := newChangeSet(sales)
		for _, e := range fresh {
			if err := applyEvent(tx, c, e, received[e.ID.String()]); err != nil {
				return err
			}
		}
		changed = c.changed
		return c.write(tx.DB)
	})
	if err != nil {
		return err
	}
	for id := range changed {
		s.onChange(id)
	}
	return nil
}

// lockSales reads sales and locks their rows in the order of their ids.
func lockSales(tx *gorm.DB, ids []int64) ([]sale.Sale, error) {
	var rows []row
	err := tx.Raw("SELECT "+columns+" FROM sales WHERE id IN ? ORDER BY id FOR UPDATE", ids).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("lock %d sales: %w", len(ids), err)
	}
	return toSales(rows)
}

// applyEvent applies one event to its sale, and publishes the event that it causes.
func applyEvent(tx *outbox.Tx, c *changeSet, e event.Envelope, received sale.StockEvent) error {
	s := c.sales[received.SaleID]
	if s == nil {
		return fmt.Errorf("%s of sale %d, which does not exist: %w", e.Type, received.SaleID, broker.ErrPoison)
	}
	now := database.Now()
	published, applied := received.Apply(s, now)
	if !applied {
		return nil
	}
	if err := c.record(received.SaleID, received.Data, now); err != nil {
		return err
	}
	if published == nil {
		return nil
	}
	tx.PublishWithTrace(e.TraceParent, published)
	return c.record(received.SaleID, published, now)
}
