// Package catalogue holds what the shop offers: products and the rules for them.
package catalogue

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/money"
)

// Limits of a product, in characters and pieces.
const (
	MaxName            = 200
	MaxDescription     = 2000
	MaxInitialQuantity = 1_000_000_000
)

// Product is an article of the shop.
type Product struct {
	ID          int64
	Name        string
	Description string
	Price       money.Amount
	// Version counts the changes; an ETag is made of it.
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Change of a product; nil leaves a field as it is.
type Change struct {
	Name        *string
	Description *string
	Price       *money.Amount
	// Versions of which one must be the current one; nil accepts any.
	Versions []int64
}

// Sort orders a list of products.
type Sort string

// The orders, each made total by the id.
const (
	ByID        Sort = "id"
	ByName      Sort = "name"
	ByPrice     Sort = "price"
	ByPriceDesc Sort = "-price"
	ByNewest    Sort = "-createdAt"
)

// Filter narrows a list. Zero fields do not.
type Filter struct {
	Text     string // in the name or the description, without regard to case
	MinPrice *money.Amount
	MaxPrice *money.Amount
	InStock  *bool
	Sort     Sort
	Limit    int
	// After is the last product of the page before.
	After *Position
}

// Position of a product in a list: what the list is sorted by, and its id.
type Position struct {
	ID        int64        `json:"id"`
	Name      string       `json:"name,omitempty"`
	Price     money.Amount `json:"price,omitzero"`
	CreatedAt time.Time    `json:"createdAt,omitzero"`
}

// PositionOf gives where p stands in a list sorted by s.
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

// Refusals.
var (
	ErrNotFound = failure.NotFound("product_not_found", "Product not found.")
	ErrStale    = failure.Stale("stale_version", "The product has changed since it was read. Read it again.")
)

// Store keeps products.
type Store interface {
	Create(ctx context.Context, p Product, initialQuantity, actorID int64) (Product, error)
	Product(ctx context.Context, id int64) (Product, error)
	Products(ctx context.Context, f Filter) ([]Product, error)
	Update(ctx context.Context, id int64, c Change) (Product, error)
	Delete(ctx context.Context, id int64, versions []int64) error
}

// Check gives the rules that p breaks, as fields of a request's body.
func Check(p Product) error {
	var broken []failure.Field
	add := func(field, rule string) {
		broken = append(broken, failure.Field{Location: "body." + field, Message: rule})
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
	if len(broken) > 0 {
		return failure.InvalidFields(broken...)
	}
	return nil
}

// Fresh says whether the current version is one of those accepted; nil accepts any.
func Fresh(accepted []int64, current int64) bool {
	return accepted == nil || slices.Contains(accepted, current)
}

// Apply makes the change to p, or says which rule it breaks.
func (c Change) Apply(p Product) (Product, error) {
	if !Fresh(c.Versions, p.Version) {
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
	return p, Check(p)
}
