package shop

import "ecommerce-stack.dev/hack/bench/internal/mix"

// Carts returns the scenario in which an order has 1 to 10 products.
func Carts() Scenario { return orders{"carts", "carts of 1 to 10 products", mix.Carts} }
