package shop

import "ecommerce-stack.dev/hack/bench/internal/mix"

// Carts orders 1 to 10 products at once.
func Carts() Scenario { return orders{"carts", "carts of 1 to 10 products", mix.Carts} }
