package mysql

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Sale implements sale.Store.
func (s *Store) Sale(ctx context.Context, id, customerID int64) (sale.Sale, error) {
	found, err := findSale(s.db.WithContext(ctx), id, customerID)
	return found, database.Classify(err)
}

// findSale reads a sale of a customer, or of any customer if customerID is 0.
func findSale(db *gorm.DB, id, customerID int64) (sale.Sale, error) {
	var rows []row
	if err := db.Raw("SELECT "+columns+" FROM sales WHERE id = ?", id).Scan(&rows).Error; err != nil {
		return sale.Sale{}, fmt.Errorf("read sale %d: %w", id, err)
	}
	if len(rows) == 0 || customerID != 0 && rows[0].CustomerID != customerID {
		return sale.Sale{}, sale.ErrNotFound
	}
	return rows[0].toSale()
}

// indexedTable returns the table with the index for a list. Without the hint the server
// may look up the columns that are compared for equality, and then read all sales that are
// newer than the page.
func indexedTable(f sale.Filter) string {
	switch {
	case f.CustomerID != 0:
		return "sales FORCE INDEX (sales_by_customer)"
	case f.Status != "":
		return "sales FORCE INDEX (sales_by_status)"
	}
	return "sales"
}

// Sales implements sale.Store.
func (s *Store) Sales(ctx context.Context, f sale.Filter) ([]sale.Sale, error) {
	q := s.db.WithContext(ctx).Table(indexedTable(f))
	if f.CustomerID != 0 {
		q = q.Where("customer_id = ?", f.CustomerID)
	}
	if f.Status != "" {
		q = q.Where("status = ?", f.Status)
	}
	if f.Before != 0 {
		q = q.Where("id < ?", f.Before)
	}
	var rows []row
	if err := q.Order("id DESC").Limit(f.Limit).Find(&rows).Error; err != nil {
		return nil, database.Classify(fmt.Errorf("list sales: %w", err))
	}
	return toSales(rows)
}

// Timeline implements sale.Store.
func (s *Store) Timeline(ctx context.Context, id, customerID, after int64, limit int) ([]sale.Entry, error) {
	if _, err := s.Sale(ctx, id, customerID); err != nil {
		return nil, err
	}
	var entries []sale.Entry
	err := s.db.WithContext(ctx).Raw("SELECT id, sale_id, type, data, at FROM timeline FORCE INDEX (timeline_by_sale) "+
		"WHERE sale_id = ? AND id > ? ORDER BY id LIMIT ?", id, after, limit).Scan(&entries).Error
	if err != nil {
		return nil, database.Classify(fmt.Errorf("read the timeline of sale %d: %w", id, err))
	}
	return entries, nil
}

// NewestEntries implements sale.Timelines. The statement reads only the index, in which
// a sale has few entries.
func (s *Store) NewestEntries(ctx context.Context, saleIDs []int64) (map[int64]int64, error) {
	var rows []struct{ SaleID, ID int64 }
	err := s.db.WithContext(ctx).Raw("SELECT sale_id, MAX(id) AS id FROM timeline FORCE INDEX (timeline_by_sale) "+
		"WHERE sale_id IN ? GROUP BY sale_id", saleIDs).Scan(&rows).Error
	if err != nil {
		return nil, database.Classify(fmt.Errorf("read the newest entries of %d sales: %w", len(saleIDs), err))
	}
	newest := make(map[int64]int64, len(rows))
	for _, r := range rows {
		newest[r.SaleID] = r.ID
	}
	return newest, nil
}

// EntriesAfter implements sale.Timelines.
func (s *Store) EntriesAfter(ctx context.Context, saleIDs []int64, after int64) ([]sale.Entry, error) {
	var entries []sale.Entry
	err := s.db.WithContext(ctx).Raw("SELECT id, sale_id, type, data, at FROM timeline FORCE INDEX (timeline_by_sale) "+
		"WHERE sale_id IN ? AND id > ? ORDER BY sale_id, id", saleIDs, after).Scan(&entries).Error
	if err != nil {
		return nil, database.Classify(fmt.Errorf("read the timelines of %d sales: %w", len(saleIDs), err))
	}
	return entries, nil
}

// expireBatch is the maximum number of sales that one transaction expires.
const expireBatch = 100

// Expire cancels up to 100 holds that have expired and returns their number. It skips
// rows that another replica has locked.
func (s *Store) Expire(ctx context.Context) (int, error) {
	expired := 0
	err := s.change(ctx, func(tx *outbox.Tx) (*changeSet, error) {
		expired = 0
		changes, err := lock(tx.DB, "expires_at <= NOW(6) ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED", expireBatch)
		if err != nil {
			return nil, err
		}
		now := database.Now()
		for id, found := range changes.sales {
			canceled, err := found.Cancel(event.ReasonExpired, now)
			if err != nil || canceled == nil {
				return nil, errors.Join(fmt.Errorf("expire sale %d, which is %s", id, found.Status), err)
			}
			if err := changes.record(id, *canceled, now); err != nil {
				return nil, err
			}
			tx.Publish(*canceled)
			expired++
		}
		return changes, nil
	})
	if err != nil {
		return 0, err
	}
	return expired, nil
}

// SalesInRange returns the sales with ids from first to last, in the order of their ids.
func (s *Store) SalesInRange(ctx context.Context, first, last int64) ([]sale.Sale, error) {
	var rows []row
	if err := s.db.WithContext(ctx).Where("id BETWEEN ? AND ?", first, last).Order("id").Find(&rows).Error; err != nil {
		return nil, database.Classify(fmt.Errorf("read sales: %w", err))
	}
	return toSales(rows)
}

// LastSale returns the highest id of a sale, 0 without one.
func (s *Store) LastSale(ctx context.Context) (int64, error) {
	var id int64
	if err := s.db.WithContext(ctx).Raw("SELECT COALESCE(MAX(id), 0) FROM sales").Scan(&id).Error; err != nil {
		return 0, database.Classify(fmt.Errorf("find the last sale: %w", err))
	}
	return id, nil
}
