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

// Holds returns the scenario of holds. Customers confirm half of them when their stock is
// reserved, and cancel the others, half of these before their stock is reserved.
func Holds() Scenario { return holds{} }

func (holds) Name() string { return "holds" }

func (holds) About() string {
	return "holds, half confirmed and half canceled by the customer"
}

func (holds) Visit(ctx context.Context, d *Client, r *rand.Rand, began time.Time) error {
	customer := d.Customer(r)
	p, err := d.Place(ctx, customer, mix.Uniform(r), true, began)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/sales/%d", p.ID)
	if r.IntN(4) == 0 {
		return d.Do(ctx, customer, http.MethodDelete, path, http.StatusNoContent)
	}
	if err := d.watcher.Reserved(ctx, p); err != nil {
		return err
	}
	if r.IntN(3) == 0 {
		return d.Do(ctx, customer, http.MethodDelete, path, http.StatusNoContent)
	}
	return d.Do(ctx, customer, http.MethodPatch, path, http.StatusOK)
}
