package shop

import "ecommerce-stack.dev/hack/bench/internal/mix"

// Uniform orders one product of 1,000.
func Uniform() Scenario {
	return orders{"uniform", "orders of one product, uniform over 1,000", mix.Uniform}
}

// Over orders one product of so many.
func Over(products int64) Scenario {
	return orders{"uniform", "orders of one product, uniform over all", mix.Over(products)}
}
