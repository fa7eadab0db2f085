package mysql

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// changeSet holds the sales that a transaction has locked, with the changes to write.
type changeSet struct {
	sales    map[int64]*sale.Sale
	pending  map[int64]bool // the sales that were not decided when they were locked
	changed  map[int64]bool
	traces   map[int64]string // the traceparent of the event that changed the sale, if one did
	timeline []sale.Entry
}

// lockSales reads sales and locks their rows in the order of their ids. An id without a row
// is not in the result.
func lockSales(tx *gorm.DB, ids []int64) (*changeSet, error) {
	return lock(tx, "id IN ? ORDER BY id FOR UPDATE", ids)
}

// lock reads and locks the sales of a condition with its locking clause.
func lock(tx *gorm.DB, condition string, arguments ...any) (*changeSet, error) {
	var rows []row
	if err := tx.Raw("SELECT "+columns+" FROM sales WHERE "+condition, arguments...).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("lock sales: %w", err)
	}
	sales, err := toSales(rows)
	if err != nil {
		return nil, err
	}
	c := &changeSet{sales: make(map[int64]*sale.Sale, len(sales)), pending: map[int64]bool{}, changed: map[int64]bool{}, traces: map[int64]string{}}
	for _, s := range sales {
		c.sales[s.ID] = &s
		c.pending[s.ID] = !s.IsDecided()
	}
	return c, nil
}

// change runs fn in a transaction, writes the changes that it returns, unless they are nil,
// and calls onChange for each changed sale after the commit.
func (s *Store) change(ctx context.Context, fn func(*outbox.Tx) (*changeSet, error)) error {
	var changes *changeSet
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		var err error
		if changes, err = fn(tx); err != nil || changes == nil {
			return err
		}
		return changes.write(tx.DB, s.repeatAfter)
	})
	if err != nil || changes == nil {
		return err
	}
	for id := range changes.changed {
		changed, of := changes.sales[id], ctx
		if trace := changes.traces[id]; trace != "" {
			of = telemetry.WithTraceParent(ctx, trace)
		}
		s.onChange(of, *changed, changes.pending[id] && changed.IsDecided())
	}
	return nil
}

// record adds an event to the timeline of a sale and marks the sale as changed.
func (c *changeSet) record(saleID int64, data event.Data, at time.Time) error {
	e, err := sale.NewEntry(saleID, data, at)
	if err != nil {
		return fmt.Errorf("record %s of sale %d: %w", data.EventType(), saleID, err)
	}
	c.timeline = append(c.timeline, e)
	c.changed[saleID] = true
	return nil
}

func (c *changeSet) write(tx *gorm.DB, repeatAfter time.Duration) error {
	sales := make([]sale.Sale, 0, len(c.changed))
	for id := range c.changed {
		sales = append(sales, *c.sales[id])
	}
	if err := updateSales(tx, sales, repeatAfter); err != nil {
		return err
	}
	return insertEntries(tx, c.timeline)
}
