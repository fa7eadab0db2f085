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

// newMoves is for customers' transitions, which share transactions as new sales do.
func (s *Store) newMoves() *groupcommit.Committer[*move] {
	return groupcommit.New(groupcommit.Settings[*move]{
		Commit: s.moveAll, InFlight: commitsInFlight, MaxBatch: maxCommitBatch, Timeout: commitTimeout,
		ShouldIsolate: func(err error) bool { return !database.IsTransient(err) },
	})
}

// transition is what a customer does to a sale. It returns what is said of it, or nil
// when it changed nothing, and why it is refused.
type transition func(*sale.Sale, time.Time) (event.Data, error)

// move is a transition of one sale.
type move struct {
	saleID, customerID int64
	do                 transition
	traceParent        string

	moved   sale.Sale
	refusal error
}

// Confirm is the customer's yes to a held sale.
func (s *Store) Confirm(ctx context.Context, id, customerID int64) (sale.Sale, error) {
	return s.move(ctx, id, customerID, func(found *sale.Sale, now time.Time) (event.Data, error) {
		confirmed, err := found.Confirm(now)
		if err != nil {
			return nil, err
		}
		return confirmed, nil
	})
}

// Cancel is the customer's no.
func (s *Store) Cancel(ctx context.Context, id, customerID int64) error {
	_, err := s.move(ctx, id, customerID, func(found *sale.Sale, now time.Time) (event.Data, error) {
		canceled, err := found.Cancel(event.ReasonCustomer, now)
		if err != nil || canceled == nil {
			return nil, err
		}
		return *canceled, nil
	})
	return err
}

func (s *Store) move(ctx context.Context, id, customerID int64, do transition) (sale.Sale, error) {
	m := &move{saleID: id, customerID: customerID, do: do, traceParent: telemetry.TraceParent(ctx)}
	if err := s.moves.Do(ctx, m); err != nil {
		return sale.Sale{}, err
	}
	return m.moved, m.refusal
}

// moveAll makes transitions under the locks of their sales' rows, one after the other
// where several are of one sale.
func (s *Store) moveAll(ctx context.Context, batch []*move) error {
	var touched map[int64]bool
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		ids := make([]int64, len(batch))
		for i, m := range batch {
			ids[i] = m.saleID
		}
		sales, err := lock(tx.DB, ids)
		if err != nil {
			return err
		}
		c := newChange(sales)
		now := database.Now()
		for _, m := range batch {
			if err := m.apply(tx, c, now); err != nil {
				return err
			}
		}
		touched = c.touched
		return c.write(tx.DB)
	})
	for id := range touched {
		if err == nil {
			s.changed(id)
		}
	}
	return err
}

// apply makes the transition, or notes why not. An error is of the work, not of the
// transition.
func (m *move) apply(tx *outbox.Tx, c *change, now time.Time) error {
	m.moved, m.refusal = sale.Sale{}, nil
	found := c.sales[m.saleID]
	if found == nil || found.CustomerID != m.customerID {
		m.refusal = sale.ErrNotFound
		return nil
	}
	var said event.Data
	said, m.refusal = m.do(found, now)
	m.moved = *found
	if said == nil {
		return nil
	}
	if err := c.happened(m.saleID, said, now); err != nil {
		return fmt.Errorf("move sale %d: %w", m.saleID, err)
	}
	tx.PublishWithTrace(m.traceParent, said)
	return nil
}
