package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/mix"
)

type holds struct{}

// Holds orders with hold; half of the orders are confirmed by the customer once their
// stock is reserved, half canceled, and of those again half at once, before stock has
// answered.
func Holds() Scenario { return holds{} }

func (holds) Name() string { return "holds" }

func (holds) About() string {
	return "held orders, half confirmed and half canceled by the customer"
}

func (holds) Visit(ctx context.Context, d *Door, r *rand.Rand, began time.Time) error {
	customer := d.Customer(r)
	p, err := d.Place(ctx, customer, mix.Uniform(r), true, began)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/sales/%d", p.ID)
	if r.IntN(4) == 0 {
		return d.Do(ctx, customer, http.MethodDelete, path, http.StatusNoContent)
	}
	if err := d.watch.Reserved(ctx, p); err != nil {
		return err
	}
	if r.IntN(3) == 0 {
		return d.Do(ctx, customer, http.MethodDelete, path, http.StatusNoContent)
	}
	return d.Do(ctx, customer, http.MethodPatch, path, http.StatusOK)
}
