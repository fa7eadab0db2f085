package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/stock/internal/catalog"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// product is a row of the table products.
type product struct {
	ID          int64
	Name        string
	Description string
	Price       money.Amount
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   *time.Time
}

func (product) TableName() string { return "products" }

func (p product) domain() catalog.Product {
	return catalog.Product{ID: p.ID, Name: p.Name, Description: p.Description, Price: p.Price,
		Version: p.Version, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
}

// Create implements catalog.Store.
func (s *Store) Create(ctx context.Context, p catalog.Product, initialQuantity, actorID int64, r idempotency.Request) (created catalog.Product, replayed bool, err error) {
	err = s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		replayed, err = database.Once(tx.DB, r, &created, func() error {
			created, err = insertProduct(tx, p, initialQuantity, actorID)
			return err
		})
		return err
	})
	return created, replayed, err
}

func insertProduct(tx *outbox.Tx, p catalog.Product, initialQuantity, actorID int64) (catalog.Product, error) {
	now := database.Now()
	row := product{Name: p.Name, Description: p.Description, Price: p.Price, Version: 1, CreatedAt: now, UpdatedAt: now}
	if err := tx.Create(&row).Error; err != nil {
		return p, fmt.Errorf("insert a product: %w", err)
	}
	empty := inventory.Stock{ProductID: row.ID, UpdatedAt: now}
	if err := writeStocks(tx.DB, []inventory.Stock{empty}); err != nil {
		return p, err
	}
	if initialQuantity > 0 {
		work := inventory.Begin(now, []inventory.Stock{empty}, nil, nil)
		if _, err := work.MoveManual(inventory.Received, row.ID, initialQuantity, actorID); err != nil {
			return p, err
		}
		if err := writeChanges(tx.DB, work.Changes()); err != nil {
			return p, err
		}
	}
	tx.Publish(event.ProductChanged{ProductID: row.ID})
	return row.domain(), nil
}

// Product implements catalog.Store.
func (s *Store) Product(ctx context.Context, id int64) (catalog.Product, error) {
	p, err := s.product(s.db.WithContext(ctx), id)
	return p.domain(), database.Classify(err)
}

func (s *Store) product(db *gorm.DB, id int64) (product, error) {
	var row product
	err := db.Where("id = ? AND deleted_at IS NULL", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, catalog.ErrNotFound
	}
	if err != nil {
		return row, fmt.Errorf("read product %d: %w", id, err)
	}
	return row, nil
}

// Update implements catalog.Store.
func (s *Store) Update(ctx context.Context, id int64, c catalog.Change) (catalog.Product, error) {
	var changed catalog.Product
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		row, err := s.product(tx.Clauses(clause.Locking{Strength: "UPDATE"}), id)
		if err != nil {
			return err
		}
		if changed, err = c.Apply(row.domain()); err != nil {
			return err
		}
		changed.UpdatedAt = database.Now()
		err = tx.Model(&product{}).Where("id = ?", id).Updates(map[string]any{
			"name": changed.Name, "description": changed.Description, "price": changed.Price,
			"version": changed.Version, "updated_at": changed.UpdatedAt,
		}).Error
		if err != nil {
			return fmt.Errorf("update product %d: %w", id, err)
		}
		tx.Publish(event.ProductChanged{ProductID: id})
		return nil
	})
	return changed, err
}

// Delete implements catalog.Store.
func (s *Store) Delete(ctx context.Context, id int64, versions catalog.Versions) error {
	return s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		// New sales of the product are decided under this lock.
		if _, err := lockStocks(tx.DB, []int64{id}); err != nil {
			return err
		}
		row, err := s.product(tx.Clauses(clause.Locking{Strength: "UPDATE"}), id)
		if err != nil {
			return err
		}
		if !versions.Accept(row.Version) {
			return catalog.ErrStale
		}
		now := database.Now()
		err = tx.Model(&product{}).Where("id = ?", id).
			Updates(map[string]any{"deleted_at": now, "updated_at": now, "version": row.Version + 1}).Error
		if err != nil {
			return fmt.Errorf("delete product %d: %w", id, err)
		}
		tx.Publish(event.ProductChanged{ProductID: id, Deleted: true})
		return nil
	})
}

// Products implements catalog.Store.
func (s *Store) Products(ctx context.Context, f catalog.Filter) ([]catalog.Product, error) {
	q := s.db.WithContext(ctx).Table(indexedTable(f)).Where("deleted_at IS NULL")
	if f.Text != "" {
		pattern := "%" + escapeLike(f.Text) + "%"
		q = q.Where("(name LIKE ? OR description LIKE ?)", pattern, pattern)
	}
	if f.MinPrice != nil {
		q = q.Where("price >= ?", *f.MinPrice)
	}
	if f.MaxPrice != nil {
		q = q.Where("price <= ?", *f.MaxPrice)
	}
	if f.InStock != nil {
		// The server may evaluate EXISTS from all stocks, but it looks up a subquery.
		q = q.Where("(SELECT available > 0 FROM stocks WHERE stocks.product_id = products.id) = ?", *f.InStock)
	}
	var rows []product
	if err := orderAndSeek(q, f).Limit(f.Limit).Find(&rows).Error; err != nil {
		return nil, database.Classify(fmt.Errorf("list products: %w", err))
	}
	products := make([]catalog.Product, len(rows))
	for i, row := range rows {
		products[i] = row.domain()
	}
	return products, nil
}

// orderIndexes are the indexes that have the order of a list.
var orderIndexes = map[catalog.Sort]string{
	catalog.ByID: "PRIMARY", catalog.ByName: "products_by_name", catalog.ByNewest: "products_by_creation",
	catalog.ByPrice: "products_by_price", catalog.ByPriceDesc: "products_by_price",
}

// indexedTable returns the table with the index for a list. Without the hint the server may
// look up the products that are not deleted, and then read all that precede the page. Only
// for a list with a price range and another order the server chooses the index.
func indexedTable(f catalog.Filter) string {
	byPrice := orderIndexes[catalog.ByPrice]
	if index := orderIndexes[f.Sort]; index == byPrice || f.MinPrice == nil && f.MaxPrice == nil {
		return "products FORCE INDEX (" + index + ")"
	}
	return "products"
}

// orderAndSeek orders a list and begins it after the position f.After, so that products
// that are added or deleted meanwhile neither repeat nor hide others.
func orderAndSeek(q *gorm.DB, f catalog.Filter) *gorm.DB {
	column, direction, comparison := "", "", ">"
	switch f.Sort {
	case catalog.ByName:
		column = "name"
	case catalog.ByPrice:
		column = "price"
	case catalog.ByPriceDesc:
		column, direction, comparison = "price", " DESC", "<"
	case catalog.ByNewest:
		column, direction, comparison = "created_at", " DESC", "<"
	case catalog.ByID:
	}
	if column == "" {
		if f.After != nil {
			q = q.Where("id > ?", f.After.ID)
		}
		return q.Order("id")
	}
	if f.After != nil {
		value := map[string]any{"name": f.After.Name, "price": f.After.Price, "created_at": f.After.CreatedAt}[column]
		q = q.Where("("+column+" "+comparison+" ? OR ("+column+" = ? AND id "+comparison+" ?))", value, value, f.After.ID)
	}
	return q.Order(column + direction).Order("id" + direction)
}

// escapeLike escapes the wildcards of LIKE.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
