// Package catalog implements the domain of the catalog: products and the rules for them.
package catalog

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/money"
)

// Limits of a product: the lengths in characters, and the initial quantity.
const (
	MaxName            = 200
	MaxDescription     = 2000
	MaxInitialQuantity = 1_000_000_000
)

// Product is a product of the catalog.
type Product struct {
	ID          int64
	Name        string
	Description string
	Price       money.Amount
	// Version is incremented by each change. The ETag of a product is derived from it.
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Change is a change of a product. Nil fields do not change.
type Change struct {
	Name        *string
	Description *string
	Price       *money.Amount
	// Versions has the accepted current versions. Nil accepts any.
	Versions []int64
}

// Sort is the order of a list of products.
type Sort string

// Orders of a list. Products with equal values are ordered by their ids.
const (
	ByID        Sort = "id"
	ByName      Sort = "name"
	ByPrice     Sort = "price"
	ByPriceDesc Sort = "-price"
	ByNewest    Sort = "-createdAt"
)

// Filter selects the products of a list. Zero fields, except Limit, select all.
type Filter struct {
	Text     string // in the name or the description, case-insensitive
	MinPrice *money.Amount
	MaxPrice *money.Amount
	InStock  *bool
	Sort     Sort
	Limit    int
	// After is the position of the last product of the previous page.
	After *Position
}

// Position is the position of a product in a list: its value of the sort column, and its id.
type Position struct {
	ID        int64        `json:"id"`
	Name      string       `json:"name,omitempty"`
	Price     money.Amount `json:"price,omitzero"`
	CreatedAt time.Time    `json:"createdAt,omitzero"`
}

// PositionOf returns the position of p in a list with the order s.
func PositionOf(p Product, s Sort) Position {
	at := Position{ID: p.ID}
	switch s {
	case ByName:
		at.Name = p.Name
	case ByPrice, ByPriceDesc:
		at.Price = p.Price
	case ByNewest:
		at.CreatedAt = p.CreatedAt
	case ByID:
	}
	return at
}

// Errors of the store.
var (
	ErrNotFound = failure.NotFound("product_not_found", "Product not found.")
	ErrStale    = failure.Stale("stale_version", "The product has changed since it was read. Read it again and repeat the change.")
)

// Store stores products. All methods return a *failure.Error of kind KindUnavailable while
// the database is unavailable.
type Store interface {
	// Create adds a product with an initial quantity, which may be 0. actorID is the id of
	// the manager.
	Create(ctx context.Context, p Product, initialQuantity, actorID int64) (Product, error)
	// Product returns a product. It returns ErrNotFound.
	Product(ctx context.Context, id int64) (Product, error)
	// Products returns a page of products.
	Products(ctx context.Context, f Filter) ([]Product, error)
	// Update changes a product. It returns ErrNotFound, ErrStale, and a *failure.Error of
	// kind KindInvalid when the changed product violates a rule.
	Update(ctx context.Context, id int64, c Change) (Product, error)
	// Delete deletes a product from the catalog. Its stock and movements remain. It
	// returns ErrNotFound, and ErrStale unless the current version is in versions or versions
	// is nil.
	Delete(ctx context.Context, id int64, versions []int64) error
}

// Validate returns nil, or a *failure.Error of kind KindInvalid with the fields of a request
// body that violate a rule.
func Validate(p Product) error {
	var violations []failure.Field
	add := func(field, rule string) {
		violations = append(violations, failure.Field{Location: "body." + field, Message: rule})
	}
	if n := utf8.RuneCountInString(strings.TrimSpace(p.Name)); n < 1 || utf8.RuneCountInString(p.Name) > MaxName {
		add("name", "must have 1 to 200 characters that are not all spaces")
	}
	if utf8.RuneCountInString(p.Description) > MaxDescription {
		add("description", "must have at most 2000 characters")
	}
	if p.Price.IsNegative() || p.Price.Cmp(money.MaxPrice) > 0 {
		add("price", "must be from 0.00 to 9999999.99")
	}
	if len(violations) > 0 {
		return failure.InvalidFields(violations...)
	}
	return nil
}

// AcceptsVersion reports whether the current version is accepted. Nil accepts any.
func AcceptsVersion(accepted []int64, current int64) bool {
	return accepted == nil || slices.Contains(accepted, current)
}

// Apply returns p with the change. It returns ErrStale when the version is not accepted, and
// the errors of Validate.
func (c Change) Apply(p Product) (Product, error) {
	if !AcceptsVersion(c.Versions, p.Version) {
		return p, ErrStale
	}
	if c.Name != nil {
		p.Name = *c.Name
	}
	if c.Description != nil {
		p.Description = *c.Description
	}
	if c.Price != nil {
		p.Price = *c.Price
	}
	p.Version++
	return p, Validate(p)
}
