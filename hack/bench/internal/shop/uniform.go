package shop

import "ecommerce-stack.dev/hack/bench/internal/mix"

// Uniform orders one product of 1,000.
func Uniform() Scenario {
	return orders{"uniform", "orders of one product, uniform over 1,000", mix.Uniform}
}
