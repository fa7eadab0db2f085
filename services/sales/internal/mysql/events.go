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
// transaction. heard has what each event means, by the event's id.
func (s *Store) Apply(ctx context.Context, batch []event.Envelope, heard map[string]sale.Heard) error {
	var touched map[int64]bool
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		fresh, err := inbox.Claim(tx.DB, batch)
		if err != nil || len(fresh) == 0 {
			return err
		}
		ids := make([]int64, len(fresh))
		for i, e := range fresh {
			ids[i] = heard[e.ID.String()].SaleID
		}
		sales, err := lock(tx.DB, ids)
		if err != nil {
			return err
		}
		c := newChange(sales)
		for _, e := range fresh {
			if err := hear(tx, c, e, heard[e.ID.String()]); err != nil {
				return err
			}
		}
		touched = c.touched
		return c.write(tx.DB)
	})
	if err != nil {
		return err
	}
	for id := range touched {
		s.changed(id)
	}
	return nil
}

func lock(tx *gorm.DB, ids []int64) ([]sale.Sale, error) {
	var rows []row
	err := tx.Raw("SELECT "+columns+" FROM sales WHERE id IN ? ORDER BY id FOR UPDATE", ids).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("lock %d sales: %w", len(ids), err)
	}
	return domains(rows)
}

func hear(tx *outbox.Tx, c *change, e event.Envelope, h sale.Heard) error {
	s := c.sales[h.SaleID]
	if s == nil {
		return fmt.Errorf("%s of sale %d, which does not exist: %w", e.Type, h.SaleID, broker.ErrPoison)
	}
	now := database.Now()
	answer, noted := h.Hear(s, now)
	if !noted {
		return nil
	}
	if err := c.happened(h.SaleID, h.Data, now); err != nil {
		return err
	}
	if answer == nil {
		return nil
	}
	tx.PublishWithTrace(e.TraceParent, answer)
	return c.happened(h.SaleID, answer, now)
}
