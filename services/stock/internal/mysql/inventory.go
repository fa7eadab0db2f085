package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/inbox"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// Apply claims the events of a batch and applies those that are new with decide,
// all in one transaction. decide works on a book over every product and sale of the
// batch and returns the answer to an event, or nil.
func (s *Store) Apply(ctx context.Context, batch []event.Envelope, sales, products []int64,
	decide func(*inventory.Book, event.Envelope) (event.Data, error)) error {
	return s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		fresh, err := inbox.Claim(tx.DB, batch)
		if err != nil || len(fresh) == 0 {
			return err
		}
		book, err := openBook(tx.DB, sales, products)
		if err != nil {
			return err
		}
		for _, e := range fresh {
			answer, err := decide(book, e)
			if err != nil {
				return fmt.Errorf("%s %s: %w: %w", e.Type, e.Subject, broker.ErrPoison, err)
			}
			if answer != nil {
				tx.PublishWithTrace(e.TraceParent, answer)
			}
		}
		return write(tx.DB, book.Close())
	})
}

// openBook locks the reservations of sales, and then the stocks of products and of
// what those reservations hold.
func openBook(tx *gorm.DB, sales, products []int64) (*inventory.Book, error) {
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
	offers, err := offersOf(tx, products)
	if err != nil {
		return nil, err
	}
	return inventory.Open(database.Now(), stocks, offers, reservations), nil
}

func lockReservations(tx *gorm.DB, sales []int64) ([]inventory.Reservation, error) {
	if len(sales) == 0 {
		return nil, nil
	}
	var rows []struct {
		SaleID     int64
		CustomerID int64
		Status     inventory.Status
		LinesJSON  []byte
		At         time.Time
	}
	err := tx.Raw("SELECT sale_id, customer_id, status, lines_json, at FROM reservations "+
		"WHERE sale_id IN ? ORDER BY sale_id FOR UPDATE", sales).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("lock %d reservations: %w", len(sales), err)
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

func lockStocks(tx *gorm.DB, products []int64) ([]inventory.Stock, error) {
	if len(products) == 0 {
		return nil, nil
	}
	var stocks []inventory.Stock
	err := tx.Raw("SELECT product_id, available, for_sales, by_hand, removed, updated_at FROM stocks "+
		"WHERE product_id IN ? ORDER BY product_id FOR UPDATE", products).Scan(&stocks).Error
	if err != nil {
		return nil, fmt.Errorf("lock the stock of %d products: %w", len(products), err)
	}
	return stocks, nil
}

func offersOf(tx *gorm.DB, products []int64) (map[int64]inventory.Offer, error) {
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
		offers[r.ID] = inventory.Offer{Price: r.Price, OnSale: !r.DeletedAt.Valid}
	}
	return offers, nil
}

// write brings the changes of a book into the tables, a few statements for all.
func write(tx *gorm.DB, c inventory.Changes) error {
	if err := makeReservations(tx, c.Made); err != nil {
		return err
	}
	if err := moveReservations(tx, c.Moved); err != nil {
		return err
	}
	if err := writeStocks(tx, c.Stocks); err != nil {
		return err
	}
	return writeMovements(tx, c.Movements)
}

func writeStocks(tx *gorm.DB, stocks []inventory.Stock) error {
	if len(stocks) == 0 {
		return nil
	}
	arguments := make([]any, 0, 6*len(stocks))
	for _, s := range stocks {
		arguments = append(arguments, s.ProductID, s.Available, s.ForSales, s.ByHand, s.Removed, s.UpdatedAt)
	}
	err := tx.Exec("INSERT INTO stocks (product_id, available, for_sales, by_hand, removed, updated_at) VALUES "+
		strings.Repeat(",(?,?,?,?,?,?)", len(stocks))[1:]+" ON DUPLICATE KEY UPDATE available = VALUES(available), "+
		"for_sales = VALUES(for_sales), by_hand = VALUES(by_hand), removed = VALUES(removed), updated_at = VALUES(updated_at)",
		arguments...).Error
	if err != nil {
		return fmt.Errorf("write the stock of %d products: %w", len(stocks), err)
	}
	return nil
}

// makeReservations inserts. One that another replica inserted since this
// transaction looked is that replica's decision: the transaction starts again.
func makeReservations(tx *gorm.DB, reservations []inventory.Reservation) error {
	if len(reservations) == 0 {
		return nil
	}
	arguments := make([]any, 0, 5*len(reservations))
	for _, r := range reservations {
		lines, err := json.Marshal(r.Lines)
		if err != nil {
			return fmt.Errorf("encode the lines of reservation %d: %w", r.SaleID, err)
		}
		arguments = append(arguments, r.SaleID, r.CustomerID, r.Status, database.JSON(lines), r.At)
	}
	err := tx.Exec("INSERT INTO reservations (sale_id, customer_id, status, lines_json, at) VALUES "+
		strings.Repeat(",(?,?,?,?,?)", len(reservations))[1:], arguments...).Error
	if database.IsDuplicate(err) {
		return fmt.Errorf("insert %d reservations: %w: %w", len(reservations), database.ErrRetry, err)
	}
	if err != nil {
		return fmt.Errorf("insert %d reservations: %w", len(reservations), err)
	}
	return nil
}

// moveReservations writes the new status of rows that this transaction has locked.
func moveReservations(tx *gorm.DB, reservations []inventory.Reservation) error {
	byStatus := map[inventory.Status][]int64{}
	for _, r := range reservations {
		byStatus[r.Status] = append(byStatus[r.Status], r.SaleID)
	}
	for status, sales := range byStatus {
		err := tx.Exec("UPDATE reservations SET status = ?, at = ? WHERE sale_id IN ?", status, reservations[0].At, sales).Error
		if err != nil {
			return fmt.Errorf("move %d reservations to %s: %w", len(sales), status, err)
		}
	}
	return nil
}

func writeMovements(tx *gorm.DB, movements []inventory.Movement) error {
	if len(movements) == 0 {
		return nil
	}
	arguments := make([]any, 0, 6*len(movements))
	for _, m := range movements {
		arguments = append(arguments, m.ProductID, m.Kind, m.Quantity, orNull(m.SaleID), orNull(m.ActorID), m.At)
	}
	err := tx.Exec("INSERT INTO movements (product_id, kind, quantity, sale_id, actor_id, at) VALUES "+
		strings.Repeat(",(?,?,?,?,?,?)", len(movements))[1:], arguments...).Error
	if err != nil {
		return fmt.Errorf("write %d lines of the ledger: %w", len(movements), err)
	}
	return nil
}

// ByHand makes one movement of a manager.
func (s *Store) ByHand(ctx context.Context, kind inventory.Kind, productID, quantity, actorID int64) (inventory.Stock, error) {
	var stock inventory.Stock
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		book, err := openBook(tx.DB, nil, []int64{productID})
		if err != nil {
			return err
		}
		if stock, err = book.ByHand(kind, productID, quantity, actorID); err != nil {
			return err
		}
		return write(tx.DB, book.Close())
	})
	return stock, err
}

// Stock reads what there is of a product; also of one that left the catalogue.
func (s *Store) Stock(ctx context.Context, productID int64) (inventory.Stock, error) {
	var rows []inventory.Stock
	err := s.db.WithContext(ctx).Raw("SELECT product_id, available, for_sales, by_hand, removed, updated_at FROM stocks "+
		"WHERE product_id = ?", productID).Scan(&rows).Error
	if err != nil {
		return inventory.Stock{}, database.Classify(fmt.Errorf("read the stock of product %d: %w", productID, err))
	}
	if len(rows) == 0 {
		return inventory.Stock{}, inventory.ErrUnknownProduct
	}
	return rows[0], nil
}

// Movements lists the ledger of a product from after an id, the oldest first.
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
