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

// auditPage is the number of products that one statement reads.
const auditPage = 1000

// Audit compares the quantities of every product with the ledger: the sums of its checkpoint and
// of the movements after it. It reads a snapshot and takes no locks. Its duration grows with
// the number of products and of the movements since AdvanceCheckpoint, not with the ledger.
func (s *Store) Audit(ctx context.Context) (inventory.Report, error) {
	var report inventory.Report
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		report = inventory.Report{Violations: []inventory.Violation{}}
		mark, err := readMark(tx, "")
		if err != nil {
			return err
		}
		recent, err := sumLedger(tx, mark, math.MaxInt64)
		if err != nil {
			return err
		}
		for after := int64(0); ; {
			last, err := auditFrom(tx, after, recent, &report)
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
func auditFrom(tx *gorm.DB, after int64, recent ledgers, report *inventory.Report) (int64, error) {
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
	sums, err := readCheckpoints(tx, after, last)
	if err != nil {
		return after, err
	}
	for id, l := range recent {
		if id > after && id <= last {
			sums.add(id, l)
		}
	}
	report.Products += int64(len(rows))
	for _, row := range rows {
		report.Movements += sums[row.ProductID].Movements
		report.Violations = append(report.Violations, inventory.Audit(row, sums[row.ProductID].Sums)...)
		delete(sums, row.ProductID)
	}
	for id, orphan := range sums {
		report.Movements += orphan.Movements
		report.Violations = append(report.Violations, inventory.Violation{ProductID: id, Rule: "the ledger has movements, but there is no stock row"})
	}
	if len(rows) < auditPage {
		return after, nil
	}
	return last, nil
}

// ledger holds the sums and the number of the movements of a product.
type ledger struct {
	inventory.Sums
	Movements int64
}

// ledgers are the ledgers of products.
type ledgers map[int64]ledger

func (l ledgers) add(product int64, other ledger) {
	sum := l[product]
	sum.ProductID = product
	sum.Movements += other.Movements
	sum.Sums = sum.Plus(other.Sums)
	l[product] = sum
}

// sumLedger returns the sums of the movements with ids above after, up to last. It reads them by
// the primary key.
func sumLedger(tx *gorm.DB, after, last int64) (ledgers, error) {
	var rows []struct {
		ProductID int64
		Kind      inventory.Kind
		BySale    bool
		Total     int64
		Number    int64
	}
	err := tx.Raw("SELECT product_id, kind, sale_id IS NOT NULL AS by_sale, CAST(SUM(quantity) AS SIGNED) AS total, "+
		"COUNT(*) AS number FROM movements FORCE INDEX (PRIMARY) WHERE id > ? AND id <= ? "+
		"GROUP BY product_id, kind, sale_id IS NOT NULL", after, last).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("sum the ledger: %w", err)
	}
	sums := ledgers{}
	for _, r := range rows {
		one := ledger{Movements: r.Number}
		m := inventory.Movement{Kind: r.Kind, Quantity: r.Total}
		if r.BySale {
			m.SaleID = 1
		}
		one.Add(m)
		sums.add(r.ProductID, one)
	}
	return sums, nil
}
