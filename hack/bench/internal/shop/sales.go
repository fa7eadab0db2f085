package shop

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/fill"
	"ecommerce-stack.dev/hack/bench/internal/saga"
)

// position contains the last IDs of the tables at the start of a phase.
type position struct {
	sale, entry int64
	removed     int64 // the removed stock of all products
}

func (s *Shop) position(ctx context.Context) (p position, err error) {
	err = s.DB.QueryRowContext(ctx, "SELECT (SELECT COALESCE(MAX(id), 0) FROM "+fill.Shop.Sales+".sales), (SELECT COALESCE(MAX(id), 0) FROM "+
		fill.Shop.Sales+".timeline), (SELECT CAST(COALESCE(SUM(removed), 0) AS SIGNED) FROM "+fill.Shop.Stock+".stocks)").
		Scan(&p.sale, &p.entry, &p.removed)
	return p, err
}

// pollInterval is the interval of queries that wait for a state of sales. They use separate
// connections, because requests of the bench would add load to the measured services.
const pollInterval = 50 * time.Millisecond

// poll calls done until it returns true or an error.
func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// backlog counts the pending sales of a closed loop and limits them to saga.Window.
type backlog struct {
	db      *sql.DB
	after   int64 // sales up to this ID are decided
	pending atomic.Int64
}

// overlap is the number of IDs below the first pending sale that are read again, because their
// transactions may commit later.
const overlap = 256

// count counts the pending sales until ctx is canceled.
func (b *backlog) count(ctx context.Context) error {
	err := poll(ctx, func() (bool, error) {
		var pending int64
		var first sql.NullInt64
		err := b.db.QueryRowContext(ctx, "SELECT COUNT(*), MIN(id) FROM "+fill.Shop.Sales+".sales WHERE id > ? AND status = 'Pending'", b.after).Scan(&pending, &first)
		b.pending.Store(pending)
		b.after = max(b.after, first.Int64-overlap)
		return false, err
	})
	if ctx.Err() == nil {
		return fmt.Errorf("count the pending sales: %w", err)
	}
	return nil
}

// wait waits until another sale can be placed.
func (b *backlog) wait(ctx context.Context) error {
	return poll(ctx, func() (bool, error) { return b.pending.Load() < saga.Window, nil })
}

// awaitReserved waits until stock has decided about the reservation of a hold.
func (s *Shop) awaitReserved(ctx context.Context, id int64) error {
	return poll(ctx, func() (isReserved bool, err error) {
		err = s.DB.QueryRowContext(ctx, "SELECT reserved = 1 OR status <> 'Pending' FROM "+fill.Shop.Sales+".sales WHERE id = ?", id).Scan(&isReserved)
		return isReserved, err
	})
}

// settleTimeout is the time limit of settle.
const settleTimeout = 2 * time.Minute

// settle waits until all sales since a position are decided, and the stock of confirmed and
// canceled ones has moved.
func (s *Shop) settle(ctx context.Context, start position) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	var pending, waiting int64
	err := poll(ctx, func() (bool, error) {
		err := s.DB.QueryRowContext(ctx, "SELECT COALESCE(SUM(status = 'Pending'), 0), COALESCE(SUM(status IN ('Confirmed', 'Canceled')), 0) - (SELECT COUNT(*) FROM "+
			fill.Shop.Sales+".timeline WHERE id > ? AND type IN ('StockReleased', 'StockCanceled')) FROM "+fill.Shop.Sales+".sales WHERE id > ?",
			start.entry, start.sale).Scan(&pending, &waiting)
		return pending == 0 && waiting == 0, err
	})
	if err != nil {
		return fmt.Errorf("%d sales are pending, and %d wait for stock: %w", pending, waiting, err)
	}
	return nil
}

// decisions are the decisions of a phase.
type decisions struct {
	confirmed int64
	quantity  int64     // sum of the quantities of confirmed sales
	latencies []float64 // milliseconds until the first decision of each sale
}

// check reads the decisions of the sales of a phase. The time of a decision is that of its entry
// in the timeline, which the service takes just before the commit. That of a hold is the time of
// its reservation. It returns an error if the sales differ from the acknowledged ones, the removed
// stock from the confirmed sales, or the audit of the system finds violations.
func (s *Shop) check(ctx context.Context, v *visitor) (d decisions, err error) {
	rows, err := s.DB.QueryContext(ctx, "SELECT sales.id, status, CAST(UNIX_TIMESTAMP(MIN(at)) * 1000000 AS SIGNED) FROM "+fill.Shop.Sales+".sales JOIN "+
		fill.Shop.Sales+".timeline ON sale_id = sales.id AND type <> 'SaleCreated' WHERE sales.id > ? GROUP BY sales.id", v.start.sale)
	if err != nil {
		return d, fmt.Errorf("read the decisions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, at int64
		var status string
		if err := rows.Scan(&id, &status, &at); err != nil {
			return d, err
		}
		p, ok := v.placed[id]
		if !ok {
			return d, fmt.Errorf("sale %d is %s, but was not acknowledged", id, status)
		}
		d.latencies = append(d.latencies, milliseconds(time.UnixMicro(at).Sub(p.began)))
		if status == "Confirmed" {
			d.confirmed, d.quantity = d.confirmed+1, d.quantity+p.quantity
		}
	}
	if err := rows.Err(); err != nil {
		return d, fmt.Errorf("read the decisions: %w", err)
	}
	if n := len(d.latencies); n != len(v.placed) {
		return d, fmt.Errorf("%d sales were acknowledged, but %d are decided", len(v.placed), n)
	}
	end, err := s.position(ctx)
	if err != nil {
		return d, err
	}
	if removed := end.removed - v.start.removed; removed != d.quantity {
		return d, fmt.Errorf("confirmed sales have a quantity of %d, but %d were removed from the stock", d.quantity, removed)
	}
	return d, s.audit(ctx, v.gateway)
}
