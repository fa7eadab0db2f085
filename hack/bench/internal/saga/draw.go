package saga

import (
	"crypto/rand"
	randv2 "math/rand/v2"

	"ecommerce-stack.dev/hack/bench/internal/mix"
)

// customers there are.
const customers = 1000

// draw makes orders; it is not safe for concurrent use.
type draw struct {
	mix    mix.Mix
	random *randv2.Rand
}

func newDraw(m mix.Mix, seed uint64) *draw { return &draw{mix: m, random: mix.Random(seed)} }

func (d *draw) order() Order {
	// No two runs use the same key.
	return Order{Customer: 1 + d.random.Int64N(customers), Key: rand.Text(), Items: d.mix(d.random)}
}

func (d *draw) orders(n int) []Order {
	orders := make([]Order, n)
	for i := range orders {
		orders[i] = d.order()
	}
	return orders
}
