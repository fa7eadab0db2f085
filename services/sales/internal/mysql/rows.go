package mysql

import (
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// row is a row of the table sales.
type row struct {
	ID         int64
	CustomerID int64
	Status     sale.Status
	Hold       bool
	Reserved   bool
	Reason     string
	Items      database.JSON
	Shortages  database.JSON
	Total      *money.Amount
	Currency   string
	CreatedAt  time.Time
	UpdatedAt  time.Time
	ExpiresAt  *time.Time
	// RepeatAt is not nil while stock has not responded to the last command of the sale: the
	// time at which the command is published again.
	RepeatAt *time.Time
}

func (row) TableName() string { return "sales" }

// columns are the columns of the table sales.
const columns = "id, customer_id, status, hold, reserved, reason, items, shortages, total, currency, created_at, updated_at, expires_at, repeat_at"

// newRow returns the row of a sale whose command to stock is repeated after a time without a
// response.
func newRow(s sale.Sale, repeatAfter time.Duration) (row, error) {
	r := row{ID: s.ID, CustomerID: s.CustomerID, Status: s.Status, Hold: s.Hold, Reserved: s.Reserved, Reason: s.Reason,
		Total: s.Total, Currency: s.Currency, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, ExpiresAt: s.ExpiresAt}
	if s.AwaitsStock {
		at := s.UpdatedAt.Add(repeatAfter)
		r.RepeatAt = &at
	}
	var err error
	if r.Items, err = json.Marshal(s.Items); err != nil {
		return r, fmt.Errorf("encode the items of sale %d: %w", s.ID, err)
	}
	if len(s.Shortages) > 0 {
		if r.Shortages, err = json.Marshal(s.Shortages); err != nil {
			return r, fmt.Errorf("encode the shortages of sale %d: %w", s.ID, err)
		}
	}
	return r, nil
}

func (r row) toSale() (sale.Sale, error) {
	s := sale.Sale{ID: r.ID, CustomerID: r.CustomerID, Status: r.Status, Hold: r.Hold, Reserved: r.Reserved, Reason: r.Reason,
		Total: r.Total, Currency: r.Currency, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, ExpiresAt: r.ExpiresAt, AwaitsStock: r.RepeatAt != nil}
	if err := json.Unmarshal(r.Items, &s.Items); err != nil {
		return s, fmt.Errorf("read the items of sale %d: %w", r.ID, err)
	}
	if len(r.Shortages) > 0 {
		if err := json.Unmarshal(r.Shortages, &s.Shortages); err != nil {
			return s, fmt.Errorf("read the shortages of sale %d: %w", r.ID, err)
		}
	}
	return s, nil
}

func toSales(rows []row) ([]sale.Sale, error) {
	sales := make([]sale.Sale, len(rows))
	for i, r := range rows {
		var err error
		if sales[i], err = r.toSale(); err != nil {
			return nil, err
		}
	}
	return sales, nil
}

// updateSales writes the mutable columns of sales, whose rows the transaction has locked,
// with one statement.
func updateSales(tx *gorm.DB, sales []sale.Sale, repeatAfter time.Duration) error {
	return database.InsertRows(tx, "sales ("+columns+")", sales, func(values []any, s sale.Sale) ([]any, error) {
		r, err := newRow(s, repeatAfter)
		return append(values, r.ID, r.CustomerID, r.Status, r.Hold, r.Reserved, r.Reason, r.Items,
			r.Shortages, r.Total, r.Currency, r.CreatedAt, r.UpdatedAt, r.ExpiresAt, r.RepeatAt), err
	}, "ON DUPLICATE KEY UPDATE status = VALUES(status), reserved = VALUES(reserved), reason = VALUES(reason), "+
		"items = VALUES(items), shortages = VALUES(shortages), total = VALUES(total), updated_at = VALUES(updated_at), "+
		"expires_at = VALUES(expires_at), repeat_at = VALUES(repeat_at)")
}

// insertEntries adds entries to the timeline. It skips an entry whose type the sale already
// has: its event was redelivered, perhaps in the same batch. Each event of a sale occurs once.
func insertEntries(tx *gorm.DB, entries []sale.Entry) error {
	return database.InsertRows(tx, "timeline (sale_id, type, data, at)", entries, func(values []any, e sale.Entry) ([]any, error) {
		return append(values, e.SaleID, e.Type, database.JSON(e.Data), e.At), nil
		// Not id = id: MySQL refuses an id that the same statement has generated (error 1869).
	}, "ON DUPLICATE KEY UPDATE at = at")
}
