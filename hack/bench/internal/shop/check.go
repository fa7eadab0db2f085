package shop

import (
	"context"
	"fmt"

	"ecommerce-stack.dev/hack/bench/internal/fill"
)

// check returns an error if the sales of a phase differ from the acknowledged ones, or the
// removed stock from the confirmed sales.
func (s *Shop) check(ctx context.Context, d *Client, start position) error {
	inTable, err := s.statuses(ctx, start.sale)
	if err != nil {
		return err
	}
	var sales int64
	for status, n := range inTable {
		sales += n
		if acknowledged := d.watcher.decided[status]; acknowledged != n {
			return fmt.Errorf("%d sales are %s, but %d of the acknowledged ones", n, status, acknowledged)
		}
	}
	if sales != d.placed {
		return fmt.Errorf("%d sales were acknowledged, but %d exist", d.placed, sales)
	}
	end, err := s.position(ctx)
	if err != nil {
		return err
	}
	if left := end.removed - start.removed; left != d.watcher.confirmedQuantity {
		return fmt.Errorf("confirmed sales have a quantity of %d, but %d were removed from the stock", d.watcher.confirmedQuantity, left)
	}
	return s.Audit(ctx)
}

// statuses returns the number of sales with an ID above after, by status.
func (s *Shop) statuses(ctx context.Context, after int64) (map[string]int64, error) {
	rows, err := s.DB.QueryContext(ctx, "SELECT status, COUNT(*) FROM "+fill.Shop.Sales+".sales WHERE id > ? GROUP BY status", after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[string]int64{}
	for rows.Next() {
		var status string
		var n int64
		if err := rows.Scan(&status, &n); err != nil {
			return nil, err
		}
		counts[status] = n
	}
	return counts, rows.Err()
}
