package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/services/event"
)

// scenario is a kind of visit.
type scenario struct {
	name, about string
	// visit runs one visit of a customer. began is its intended start.
	visit func(ctx context.Context, v *visitor, r *rand.Rand, began time.Time) error
}

var scenarios = []scenario{
	{"uniform", "orders of one product, uniform over 1,000", order(mix.Uniform)},
	{"hot", "orders of one hot product", order(mix.Hot)},
	{"carts", "carts of 1 to 10 products", order(mix.Carts)},
	{"holds", "holds, half confirmed and half canceled by the customer", hold},
	{"browse", "catalog reads 10:1 to orders", browse},
}

// order returns visits that create one sale.
func order(m mix.Mix) func(context.Context, *visitor, *rand.Rand, time.Time) error {
	return func(ctx context.Context, v *visitor, r *rand.Rand, began time.Time) error {
		_, err := v.place(ctx, v.customer(r), m(r), false, began)
		return err
	}
}

// hold creates a hold. Customers confirm half of them when their stock is reserved, and cancel
// the others, half of these before their stock is reserved.
func hold(ctx context.Context, v *visitor, r *rand.Rand, began time.Time) error {
	customer := v.customer(r)
	id, err := v.place(ctx, customer, mix.Uniform(r), true, began)
	if err != nil {
		return err
	}
	kind := r.IntN(4)
	if kind > 0 {
		if err := v.shop.awaitReserved(ctx, id); err != nil {
			return err
		}
	}
	method, want := http.MethodDelete, http.StatusNoContent
	if kind > 1 {
		method, want = http.MethodPatch, http.StatusOK
	}
	_, _, err = v.gateway.do(ctx, want, method, fmt.Sprintf("/sales/%d", id), customer, nil)
	return err
}

// browse reads the catalog ten times per order: nine products and a first page.
func browse(ctx context.Context, v *visitor, r *rand.Rand, began time.Time) error {
	path := fmt.Sprintf("/products/%d", 1+r.IntN(mix.Products))
	switch r.IntN(11) {
	case 0:
		return order(mix.Uniform)(ctx, v, r, began)
	case 1:
		path = "/products?limit=20&sort=price"
	}
	if _, _, err := v.gateway.do(ctx, http.StatusOK, http.MethodGet, path, "", nil); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.read = append(v.read, since(began))
	return nil
}

// visitor sends the requests of visits and measures their latencies.
type visitor struct {
	shop    *Shop
	gateway *client
	start   position
	backlog *backlog // nil in the open loop

	mu           sync.Mutex
	placed       map[int64]placed // by ID
	posted, read []float64        // milliseconds of each POST /sales and read

	took      time.Duration // until all sales were decided and all stock had moved
	decisions decisions
}

// placed is an acknowledged sale: the intended start of the order and the sum of the quantities.
type placed struct {
	began    time.Time
	quantity int64
}

// customer returns the token of a random customer.
func (v *visitor) customer(r *rand.Rand) string { return v.shop.tokens[r.IntN(Customers)] }

// place creates a sale and returns its ID.
func (v *visitor) place(ctx context.Context, customer string, items []event.Item, hold bool, began time.Time) (int64, error) {
	if v.backlog != nil {
		if err := v.backlog.wait(ctx); err != nil {
			return 0, err
		}
		began = time.Now() // The wait is not part of the latency.
	}
	body, err := json.Marshal(struct {
		Items []event.Item `json:"items"`
		Hold  bool         `json:"hold,omitempty"`
	}{items, hold})
	if err != nil {
		return 0, err
	}
	location, _, err := v.gateway.do(ctx, http.StatusAccepted, http.MethodPost, "/sales", customer, body)
	if err != nil {
		return 0, err
	}
	took := since(began)
	id, err := strconv.ParseInt(strings.TrimPrefix(location, "/sales/"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("POST /sales: Location %q: %w", location, err)
	}
	p := placed{began: began}
	for _, i := range items {
		p.quantity += i.Quantity
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.placed[id], v.posted = p, append(v.posted, took)
	return id, nil
}

func since(began time.Time) float64 { return milliseconds(time.Since(began)) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
