package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/mix"
)

type browse struct{}

// Browse reads the catalog ten times per order: nine products and a first page.
func Browse() Scenario { return browse{} }

func (browse) Name() string  { return "browse" }
func (browse) About() string { return "catalog reads 10:1 to orders" }

// Visit implements Scenario.
func (browse) Visit(ctx context.Context, d *Client, r *rand.Rand, began time.Time) error {
	switch n := r.IntN(11); n {
	case 0:
		_, err := d.Place(ctx, d.Customer(r), mix.Uniform(r), false, began)
		return err
	case 1:
		return d.get(ctx, "/products?limit=20&sort=price", began)
	default:
		return d.get(ctx, fmt.Sprintf("/products/%d", 1+r.IntN(mix.Products)), began)
	}
}

func (d *Client) get(ctx context.Context, path string, began time.Time) error {
	if err := d.Do(ctx, "", http.MethodGet, path, http.StatusOK); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read = append(d.read, since(began))
	return nil
}
