package shop

import "ecommerce-stack.dev/hack/bench/internal/mix"

// Hot orders one product, always the same.
func Hot() Scenario { return orders{"hot", "orders of one hot product", mix.Hot} }
