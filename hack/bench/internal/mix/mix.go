// Package mix generates the items of orders for the baselines and the scenarios.
package mix

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"ecommerce-stack.dev/services/event"
)

// Products is the number of products that are ordered, with the IDs 1 to Products.
const Products = 1000

// Mix returns the items of a random order, sorted by product.
type Mix func(*rand.Rand) []event.Item

// Uniform returns one of Products products with equal probability.
func Uniform(r *rand.Rand) []event.Item { return Over(Products)(r) }

// Over returns a mix of one of n products with equal probability.
func Over(n int64) Mix {
	return func(r *rand.Rand) []event.Item {
		return []event.Item{{ProductID: 1 + r.Int64N(n), Quantity: 1}}
	}
}

// Hot always returns the same product.
func Hot(*rand.Rand) []event.Item { return []event.Item{{ProductID: 1, Quantity: 1}} }

// Carts returns 1 to 10 different products with quantities of 1 to 3.
func Carts(r *rand.Rand) []event.Item {
	n := 1 + r.IntN(10)
	first, stride := r.Int64N(Products), Products/int64(n)
	items := make([]event.Item, n)
	for i := range items {
		items[i] = event.Item{ProductID: 1 + (first+int64(i)*stride)%Products, Quantity: 1 + r.Int64N(3)}
	}
	slices.SortFunc(items, func(a, b event.Item) int { return cmp.Compare(a.ProductID, b.ProductID) })
	return items
}
