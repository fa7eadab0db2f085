package saga

import (
	"crypto/rand"
	randv2 "math/rand/v2"

	"ecommerce-stack.dev/hack/bench/internal/mix"
)

// customers is the number of customers.
const customers = 1000

// orderGenerator generates orders. It is not safe for concurrent use.
type orderGenerator struct {
	mix    mix.Mix
	random *randv2.Rand
}

func newOrderGenerator(m mix.Mix, seed uint64) *orderGenerator {
	return &orderGenerator{mix: m, random: mix.Random(seed)}
}

func (d *orderGenerator) order() Order {
	// Keys are random, so that runs do not repeat them.
	return Order{Customer: 1 + d.random.Int64N(customers), Key: rand.Text(), Items: d.mix(d.random)}
}

func (d *orderGenerator) orders(n int) []Order {
	orders := make([]Order, n)
	for i := range orders {
		orders[i] = d.order()
	}
	return orders
}
