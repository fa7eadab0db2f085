package mysql

import (
	"context"
	"database/sql"
	"fmt"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// maxViolations bounds a report.
const maxViolations = 1000

// Audit recomputes every product's quantities from the ledger and compares them
// with its row. It reads one snapshot, so it can run beside sales. Its time grows
// with the ledger.
func (s *Store) Audit(ctx context.Context) (inventory.Report, error) {
	var report inventory.Report
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		report = inventory.Report{Violations: []inventory.Violation{}}
		sums, err := sumLedger(tx)
		if err != nil {
			return err
		}
		var rows []inventory.Stock
		err = tx.Raw("SELECT product_id, available, for_sales, by_hand, removed FROM stocks ORDER BY product_id").Scan(&rows).Error
		if err != nil {
			return fmt.Errorf("read all stocks: %w", err)
		}
		report.Products = int64(len(rows))
		for _, row := range rows {
			report.Movements += sums[row.ProductID].count
			report.Violations = append(report.Violations, inventory.Audit(row, sums[row.ProductID].sums)...)
			delete(sums, row.ProductID)
		}
		for id, orphan := range sums {
			report.Movements += orphan.count
			report.Violations = append(report.Violations, inventory.Violation{ProductID: id, Rule: "the ledger has lines, but there is no stock row"})
		}
		report.Violations = report.Violations[:min(len(report.Violations), maxViolations)]
		return nil
	}, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	return report, database.Classify(err)
}

type ledger struct {
	sums  inventory.Sums
	count int64
}

func sumLedger(tx *gorm.DB) (map[int64]ledger, error) {
	var rows []struct {
		ProductID int64
		Kind      inventory.Kind
		BySale    bool
		Total     int64
		Number    int64
	}
	err := tx.Raw("SELECT product_id, kind, sale_id IS NOT NULL AS by_sale, CAST(SUM(quantity) AS SIGNED) AS total, " +
		"COUNT(*) AS number FROM movements GROUP BY product_id, kind, sale_id IS NOT NULL").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("sum the ledger: %w", err)
	}
	sums := map[int64]ledger{}
	for _, r := range rows {
		l := sums[r.ProductID]
		l.sums.ProductID = r.ProductID
		m := inventory.Movement{Kind: r.Kind, Quantity: r.Total}
		if r.BySale {
			m.SaleID = 1
		}
		l.sums.Add(m)
		l.count += r.Number
		sums[r.ProductID] = l
	}
	return sums, nil
}
