package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// maxViolations is the maximum number of violations in a report.
const maxViolations = 1000

// auditPage is the number of products whose movements one statement sums, so that no
// statement takes long on a large ledger.
const auditPage = 1000

// Audit recomputes the quantities of every product from the ledger and compares them with
// its row. It reads a snapshot and takes no locks. Its duration grows with the ledger.
func (s *Store) Audit(ctx context.Context) (inventory.Report, error) {
	var report inventory.Report
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		report = inventory.Report{Violations: []inventory.Violation{}}
		for after := int64(0); ; {
			last, err := auditFrom(tx, after, &report)
			if err != nil || last == after {
				return err
			}
			after = last
		}
	}, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	report.Violations = report.Violations[:min(len(report.Violations), maxViolations)]
	return report, database.Classify(err)
}

// auditFrom adds a page of products to the report. It returns the id of the last one, or
// after when there are no more.
func auditFrom(tx *gorm.DB, after int64, report *inventory.Report) (int64, error) {
	var rows []inventory.Stock
	err := tx.Raw("SELECT product_id, available, reserved_sales, reserved_manual, removed FROM stocks WHERE product_id > ? "+
		"ORDER BY product_id LIMIT ?", after, auditPage).Scan(&rows).Error
	if err != nil {
		return after, fmt.Errorf("read stocks: %w", err)
	}
	last := int64(math.MaxInt64) // Movements may have ids of products without a stock row.
	if len(rows) == auditPage {
		last = rows[len(rows)-1].ProductID
	}
	sums, err := sumLedger(tx, after, last)
	if err != nil {
		return after, err
	}
	report.Products += int64(len(rows))
	for _, row := range rows {
		report.Movements += sums[row.ProductID].count
		report.Violations = append(report.Violations, inventory.Audit(row, sums[row.ProductID].sums)...)
		delete(sums, row.ProductID)
	}
	for id, orphan := range sums {
		report.Movements += orphan.count
		report.Violations = append(report.Violations, inventory.Violation{ProductID: id, Rule: "the ledger has movements, but there is no stock row"})
	}
	if len(rows) < auditPage {
		return after, nil
	}
	return last, nil
}

type ledger struct {
	sums  inventory.Sums
	count int64
}

// sumLedger returns the sums of the movements of the products with ids above after, up to
// last.
func sumLedger(tx *gorm.DB, after, last int64) (map[int64]ledger, error) {
	var rows []struct {
		ProductID int64
		Kind      inventory.Kind
		BySale    bool
		Total     int64
		Number    int64
	}
	err := tx.Raw("SELECT product_id, kind, sale_id IS NOT NULL AS by_sale, CAST(SUM(quantity) AS SIGNED) AS total, "+
		"COUNT(*) AS number FROM movements FORCE INDEX (movements_by_product) WHERE product_id > ? AND product_id <= ? "+
		"GROUP BY product_id, kind, sale_id IS NOT NULL", after, last).Scan(&rows).Error
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
