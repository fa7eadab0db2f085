package mysql

import (
	"context"
	"fmt"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/groupcommit"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// newTransitions returns the committer of customers' transitions, which share transactions
// as new sales do.
func (s *Store) newTransitions() *groupcommit.Committer[*transition] {
	return groupcommit.New(groupcommit.Settings[*transition]{
		Commit: s.commitTransitions, InFlight: commitsInFlight, MaxBatch: maxCommitBatch, Timeout: commitTimeout,
		ShouldIsolate: func(err error) bool { return !database.IsTransient(err) },
	})
}

// transitionFunc changes a sale. It returns the event to publish, or nil when nothing
// changed, and an error when the transition is not allowed.
type transitionFunc func(*sale.Sale, time.Time) (event.Data, error)

// transition is a request to change a sale, with its result.
type transition struct {
	saleID, customerID int64
	fn                 transitionFunc
	traceParent        string

	result    sale.Sale
	rejection error
}

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

func (s *Store) transition(ctx context.Context, id, customerID int64, fn transitionFunc) (sale.Sale, error) {
	t := &transition{saleID: id, customerID: customerID, fn: fn, traceParent: telemetry.TraceParent(ctx)}
	if err := s.transitions.Do(ctx, t); err != nil {
		return sale.Sale{}, err
	}
	return t.result, t.rejection
}

// commitTransitions applies a batch in one transaction, which locks the rows of its sales.
// Transitions of the same sale are applied in their order.
func (s *Store) commitTransitions(ctx context.Context, batch []*transition) error {
	var changed map[int64]bool
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		ids := make([]int64, len(batch))
		for i, t := range batch {
			ids[i] = t.saleID
		}
		sales, err := lockSales(tx.DB, ids)
		if err != nil {
			return err
		}
		c := newChangeSet(sales)
		now := database.Now()
		for _, t := range batch {
			if err := t.apply(tx, c, now); err != nil {
				return err
			}
		}
		changed = c.changed
		return c.write(tx.DB)
	})
	for id := range changed {
		if err == nil {
			s.onChange(id)
		}
	}
	return err
}

// apply applies a transition, or sets its rejection. An error fails the whole batch.
func (t *transition) apply(tx *outbox.Tx, c *changeSet, now time.Time) error {
	t.result, t.rejection = sale.Sale{}, nil
	found := c.sales[t.saleID]
	if found == nil || found.CustomerID != t.customerID {
		t.rejection = sale.ErrNotFound
		return nil
	}
	var published event.Data
	published, t.rejection = t.fn(found, now)
	t.result = *found
	if published == nil {
		return nil
	}
	if err := c.record(t.saleID, published, now); err != nil {
		return fmt.Errorf("change sale %d: %w", t.saleID, err)
	}
	tx.PublishWithTrace(t.traceParent, published)
	return nil
}
