package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// Apply implements messaging.Store. An event that was applied before changes nothing: the
// reservation of its sale has left the status in which it had an effect. While the outbox is behind, where the
// first response may wait, the next repetition gets one.
func (s *Store) Apply(ctx context.Context, batch []inventory.Command) ([]event.Data, error) {
	published := make([]event.Data, len(batch))
	sales := make([]int64, len(batch))
	var products []int64
	for i, c := range batch {
		sales[i] = c.SaleID
		for _, l := range c.Lines {
			products = append(products, l.ProductID)
		}
	}
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		behind := false
		if slices.ContainsFunc(batch, func(c inventory.Command) bool { return c.Repeated }) {
			var err error
			if behind, err = tx.IsBehind(); err != nil {
				return err
			}
		}
		work, err := beginUnitOfWork(tx.DB, sales, products)
		if err != nil {
			return err
		}
		for i, c := range batch {
			c.Repeated = c.Repeated && !behind
			if published[i], err = work.Apply(c); err != nil {
				return fmt.Errorf("%w: %w", broker.ErrPoison, err)
			}
			if published[i] != nil {
				tx.PublishWithTrace(c.TraceParent, published[i])
			}
		}
		return writeChanges(tx.DB, work.Changes())
	})
	return published, err
}

// Locked implements messaging.Store.
func (s *Store) Locked(ctx context.Context, batch []inventory.Command, wait bool) ([]bool, error) {
	sales := make([]int64, len(batch))
	for i, c := range batch {
		sales[i] = c.SaleID
	}
	reservations, err := selectReservations(s.db.WithContext(ctx), sales, "")
	if err != nil {
		return nil, err
	}
	lines := map[int64][]inventory.Line{} // of the sales
	for _, r := range reservations {
		lines[r.SaleID] = r.Lines
	}
	var products []int64
	for _, c := range batch {
		lines[c.SaleID] = append(lines[c.SaleID], c.Lines...)
		for _, l := range lines[c.SaleID] {
			products = append(products, l.ProductID)
		}
	}
	lockedSales, err := database.LockedRows(ctx, s.db, "reservations", "sale_id", sales, wait)
	if err != nil {
		return nil, err
	}
	lockedProducts, err := database.LockedRows(ctx, s.db, "stocks", "product_id", products, wait)
	if err != nil {
		return nil, err
	}
	locked := make([]bool, len(batch))
	for i, c := range batch {
		locked[i] = lockedSales[c.SaleID] || slices.ContainsFunc(lines[c.SaleID], func(l inventory.Line) bool { return lockedProducts[l.ProductID] })
	}
	return locked, nil
}

// beginUnitOfWork locks the reservations of sales, and then the stocks of products and of the
// products in these reservations.
func beginUnitOfWork(tx *gorm.DB, sales, products []int64) (*inventory.UnitOfWork, error) {
	reservations, err := lockReservations(tx, sales)
	if err != nil {
		return nil, err
	}
	for _, r := range reservations {
		for _, l := range r.Lines {
			products = append(products, l.ProductID)
		}
	}
	slices.Sort(products)
	products = slices.Compact(products)
	stocks, err := lockStocks(tx, products)
	if err != nil {
		return nil, err
	}
	offers, err := selectOffers(tx, products)
	if err != nil {
		return nil, err
	}
	return inventory.Begin(database.Now(), stocks, offers, reservations), nil
}

// lockReservations reads and locks the reservations of sales.
func lockReservations(tx *gorm.DB, sales []int64) ([]inventory.Reservation, error) {
	return selectReservations(tx, sales, "FOR UPDATE")
}

// selectReservations reads the reservations of sales, with a locking clause.
func selectReservations(tx *gorm.DB, sales []int64, locking string) ([]inventory.Reservation, error) {
	if len(sales) == 0 {
		return nil, nil
	}
	var rows []struct {
		SaleID     int64
		CustomerID int64
		Status     inventory.ReservationStatus
		LinesJSON  []byte
		At         time.Time
	}
	err := tx.Raw("SELECT sale_id, customer_id, status, lines_json, at FROM reservations "+
		"WHERE sale_id IN ? ORDER BY sale_id "+locking, sales).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read %d reservations: %w", len(sales), err)
	}
	reservations := make([]inventory.Reservation, len(rows))
	for i, r := range rows {
		reservations[i] = inventory.Reservation{SaleID: r.SaleID, CustomerID: r.CustomerID, Status: r.Status, At: r.At}
		if err := json.Unmarshal(r.LinesJSON, &reservations[i].Lines); err != nil {
			return nil, fmt.Errorf("read the lines of reservation %d: %w", r.SaleID, err)
		}
	}
	return reservations, nil
}

// lockStocks reads and locks the stocks of products.
func lockStocks(tx *gorm.DB, products []int64) ([]inventory.Stock, error) {
	if len(products) == 0 {
		return nil, nil
	}
	var stocks []inventory.Stock
	err := tx.Raw("SELECT product_id, available, reserved_sales, reserved_manual, removed, updated_at FROM stocks "+
		"WHERE product_id IN ? ORDER BY product_id FOR UPDATE", products).Scan(&stocks).Error
	if err != nil {
		return nil, fmt.Errorf("lock the stock of %d products: %w", len(products), err)
	}
	return stocks, nil
}

// selectOffers reads the prices of products, and whether they are deleted.
func selectOffers(tx *gorm.DB, products []int64) (map[int64]inventory.Offer, error) {
	if len(products) == 0 {
		return nil, nil
	}
	var rows []struct {
		ID        int64
		Price     decimal.Decimal
		DeletedAt sql.NullTime
	}
	if err := tx.Raw("SELECT id, price, deleted_at FROM products WHERE id IN ?", products).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read %d products: %w", len(products), err)
	}
	offers := make(map[int64]inventory.Offer, len(rows))
	for _, r := range rows {
		offers[r.ID] = inventory.Offer{Price: r.Price, InCatalog: !r.DeletedAt.Valid}
	}
	return offers, nil
}

// writeChanges writes the changes of a UnitOfWork.
func writeChanges(tx *gorm.DB, c inventory.Changes) error {
	if err := insertReservations(tx, c.Inserted); err != nil {
		return err
	}
	if err := updateReservations(tx, c.Updated); err != nil {
		return err
	}
	if err := writeStocks(tx, c.Stocks); err != nil {
		return err
	}
	return writeMovements(tx, c.Movements)
}

func writeStocks(tx *gorm.DB, stocks []inventory.Stock) error {
	return database.InsertRows(tx, "stocks (product_id, available, reserved_sales, reserved_manual, removed, updated_at)", stocks,
		func(values []any, s inventory.Stock) ([]any, error) {
			return append(values, s.ProductID, s.Available, s.ReservedSales, s.ReservedManual, s.Removed, s.UpdatedAt), nil
		}, "ON DUPLICATE KEY UPDATE available = VALUES(available), reserved_sales = VALUES(reserved_sales), "+
			"reserved_manual = VALUES(reserved_manual), removed = VALUES(removed), updated_at = VALUES(updated_at)")
}

// insertReservations inserts reservations. When another replica has inserted one since this
// transaction began, the error wraps database.ErrRetry.
func insertReservations(tx *gorm.DB, reservations []inventory.Reservation) error {
	err := database.InsertRows(tx, "reservations (sale_id, customer_id, status, lines_json, at)", reservations,
		func(values []any, r inventory.Reservation) ([]any, error) {
			lines, err := json.Marshal(r.Lines)
			if err != nil {
				return nil, fmt.Errorf("encode the lines of reservation %d: %w", r.SaleID, err)
			}
			return append(values, r.SaleID, r.CustomerID, r.Status, database.JSON(lines), r.At), nil
		}, "")
	if database.IsDuplicate(err) {
		return fmt.Errorf("%w: %w", database.ErrRetry, err)
	}
	return err
}

// updateReservations writes the new status of reservations whose rows the transaction has
// locked.
func updateReservations(tx *gorm.DB, reservations []inventory.Reservation) error {
	byStatus := map[inventory.ReservationStatus][]int64{}
	for _, r := range reservations {
		byStatus[r.Status] = append(byStatus[r.Status], r.SaleID)
	}
	for status, sales := range byStatus {
		err := tx.Exec("UPDATE reservations SET status = ?, at = ? WHERE sale_id IN ?", status, reservations[0].At, sales).Error
		if err != nil {
			return fmt.Errorf("change %d reservations to %s: %w", len(sales), status, err)
		}
	}
	return nil
}

func writeMovements(tx *gorm.DB, movements []inventory.Movement) error {
	return database.InsertRows(tx, "movements (product_id, kind, quantity, sale_id, actor_id, at)", movements,
		func(values []any, m inventory.Movement) ([]any, error) {
			return append(values, m.ProductID, m.Kind, m.Quantity, orNull(m.SaleID), orNull(m.ActorID), m.At), nil
		}, "")
}

// MoveManual implements httpapi.Inventory.
func (s *Store) MoveManual(ctx context.Context, m inventory.Movement, r idempotency.Request) (stock inventory.Stock, replayed bool, err error) {
	err = s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		replayed, err = database.Once(tx.DB, r, &stock, func() error {
			work, err := beginUnitOfWork(tx.DB, nil, []int64{m.ProductID})
			if err != nil {
				return err
			}
			if stock, err = work.MoveManual(m.Kind, m.ProductID, m.Quantity, m.ActorID); err != nil {
				return err
			}
			return writeChanges(tx.DB, work.Changes())
		})
		return err
	})
	return stock, replayed, err
}

// Purge deletes stored responses whose retention has passed.
func (s *Store) Purge(ctx context.Context) error {
	return database.DeleteResults(ctx, s.db)
}

// Stock implements httpapi.Inventory. It also returns the stock of deleted products.
func (s *Store) Stock(ctx context.Context, productID int64) (inventory.Stock, error) {
	var rows []inventory.Stock
	err := s.db.WithContext(ctx).Raw("SELECT product_id, available, reserved_sales, reserved_manual, removed, updated_at FROM stocks "+
		"WHERE product_id = ?", productID).Scan(&rows).Error
	if err != nil {
		return inventory.Stock{}, database.Classify(fmt.Errorf("read the stock of product %d: %w", productID, err))
	}
	if len(rows) == 0 {
		return inventory.Stock{}, inventory.ErrUnknownProduct
	}
	return rows[0], nil
}

// Movements implements httpapi.Inventory.
func (s *Store) Movements(ctx context.Context, productID, after int64, limit int) ([]inventory.Movement, error) {
	if _, err := s.Stock(ctx, productID); err != nil {
		return nil, err
	}
	var movements []inventory.Movement
	err := s.db.WithContext(ctx).Raw("SELECT id, product_id, kind, quantity, COALESCE(sale_id, 0) AS sale_id, "+
		"COALESCE(actor_id, 0) AS actor_id, at FROM movements FORCE INDEX (movements_by_product) WHERE product_id = ? AND id > ? ORDER BY id LIMIT ?",
		productID, after, limit).Scan(&movements).Error
	if err != nil {
		return nil, database.Classify(fmt.Errorf("read the ledger of product %d: %w", productID, err))
	}
	return movements, nil
}

func orNull(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }
