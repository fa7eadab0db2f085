package shop

import "ecommerce-stack.dev/hack/bench/internal/mix"

// Uniform returns the scenario in which an order is of one of 1,000 products.
func Uniform() Scenario {
	return orders{"uniform", "orders of one product, uniform over 1,000", mix.Uniform}
}

// Over returns the scenario in which an order is of one of a number of products.
func Over(products int64) Scenario {
	return orders{"uniform", "orders of one product, uniform over all", mix.Over(products)}
}
