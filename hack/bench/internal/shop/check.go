package shop

import (
	"context"
	"fmt"

	"ecommerce-stack.dev/hack/bench/internal/fill"
)

// check fails when the sales of a phase are not what was acknowledged, or the goods
// not where they belong: a fast run that is wrong is no run.
func (s *Shop) check(ctx context.Context, d *Door, start marks) error {
	inTable, err := s.statuses(ctx, start.sale)
	if err != nil {
		return err
	}
	var sales int64
	for status, n := range inTable {
		sales += n
		if seen := d.watch.decided[status]; seen != n {
			return fmt.Errorf("%d sales are %s, but %d of those that were acknowledged", n, status, seen)
		}
	}
	if sales != d.placed {
		return fmt.Errorf("%d sales were acknowledged, there are %d", d.placed, sales)
	}
	end, err := s.marks(ctx)
	if err != nil {
		return err
	}
	if left := end.removed - start.removed; left != d.watch.goods {
		return fmt.Errorf("confirmed sales hold %d goods, but %d have left the stock", d.watch.goods, left)
	}
	return s.Audit(ctx)
}

// statuses counts the sales after an id by status.
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
