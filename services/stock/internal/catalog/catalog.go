// Package catalog implements the domain of the catalog: products and the rules for them.
package catalog

import (
	"context"
	"slices"
	"time"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/internal/text"
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
	Versions    Versions
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
	Text     string // in the name or the description, case-insensitive, in NFC
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
	// the manager. For a repeat of r it returns the product of the first request, and true. It
	// returns idempotency.ErrKeyReused.
	Create(ctx context.Context, p Product, initialQuantity, actorID int64, r idempotency.Request) (Product, bool, error)
	// Product returns a product. It returns ErrNotFound.
	Product(ctx context.Context, id int64) (Product, error)
	// Products returns a page of products.
	Products(ctx context.Context, f Filter) ([]Product, error)
	// Update changes a product. It returns ErrNotFound, ErrStale, and a *failure.Error of
	// kind KindInvalid when the changed product violates a rule.
	Update(ctx context.Context, id int64, c Change) (Product, error)
	// Delete deletes a product from the catalog. Its stock and movements remain. It
	// returns ErrNotFound, and ErrStale unless the current version is accepted.
	Delete(ctx context.Context, id int64, versions Versions) error
}

// Checked returns p with its text in NFC, or a *failure.Error of kind KindInvalid with the fields of
// a request body that violate a rule.
func Checked(p Product) (Product, error) {
	return Change{Name: &p.Name, Description: &p.Description, Price: &p.Price}.set(p)
}

// Versions are the versions of a product for which a change is made.
type Versions struct {
	// Accepted are the only ones; nil accepts any, and an empty list none.
	Accepted []int64
	// Refused are not accepted.
	Refused []int64
}

// Accept reports whether the current version is accepted.
func (v Versions) Accept(current int64) bool {
	return (v.Accepted == nil || slices.Contains(v.Accepted, current)) && !slices.Contains(v.Refused, current)
}

// Apply returns p with the change. It returns ErrStale when the version is not accepted, and the
// errors of Checked for the fields that change. The other ones may be from before a rule.
func (c Change) Apply(p Product) (Product, error) {
	if !c.Versions.Accept(p.Version) {
		return p, ErrStale
	}
	p.Version++
	return c.set(p)
}

func (c Change) set(p Product) (Product, error) {
	var violations []failure.Field
	check := func(field, violation string) {
		if violation != "" {
			violations = append(violations, failure.Field{Location: "body." + field, Message: violation})
		}
	}
	var violation string
	if c.Name != nil {
		p.Name, violation = text.Line(*c.Name, MaxName)
		check("name", violation)
	}
	if c.Description != nil {
		p.Description, violation = text.Block(*c.Description, MaxDescription)
		check("description", violation)
	}
	if c.Price != nil {
		p.Price = *c.Price
		if p.Price.IsNegative() || p.Price.Cmp(money.MaxPrice) > 0 {
			check("price", "must be from 0.00 to 9999999.99")
		}
	}
	if len(violations) > 0 {
		return p, failure.InvalidFields(violations...)
	}
	return p, nil
}
