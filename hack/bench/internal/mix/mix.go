// Package mix says what orders hold, the same for the baselines and the system.
package mix

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"ecommerce-stack.dev/services/event"
)

// Products there are to order: ids 1 to Products.
const Products = 1000

// Mix draws the items of one order, ordered by product.
type Mix func(*rand.Rand) []event.Item

// Uniform is one product of Products, each as likely.
func Uniform(r *rand.Rand) []event.Item { return Over(Products)(r) }

// Over is one of so many products, each as likely.
func Over(products int64) Mix {
	return func(r *rand.Rand) []event.Item {
		return []event.Item{{ProductID: 1 + r.Int64N(products), Quantity: 1}}
	}
}

// Hot is always the same product.
func Hot(*rand.Rand) []event.Item { return []event.Item{{ProductID: 1, Quantity: 1}} }

// Carts have 1 to 10 different products, 1 to 3 of each.
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

// Random is a source that gives the same numbers in every run.
func Random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }
