package shop

import "ecommerce-stack.dev/hack/bench/internal/mix"

// Hot returns the scenario in which all orders are of the same product.
func Hot() Scenario { return orders{"hot", "orders of one hot product", mix.Hot} }
