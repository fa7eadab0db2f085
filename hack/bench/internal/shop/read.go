package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/load"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/wire"
)

// readers is the number of concurrent readers, which is low so that reads do not wait for
// each other.
const readers = 2

// Read measures a kind of read at a service, without the cache of the gateway.
type Read struct {
	Shop    *Shop
	Title   string
	Service string
	// Draw returns a random path and the number of the customer, or 0 for the manager.
	Draw func(r *rand.Rand) (path string, customer int64)
}

// Reads returns the reads whose latency must not grow with the numbers of products and
// sales.
func Reads(s *Shop, products, firstSale, lastSale int64) []measure.Measurement {
	product := func(r *rand.Rand) int64 { return 1 + r.Int64N(products) }
	// The customer of a filled sale (package fill).
	sale := func(r *rand.Rand) (id, customer int64) {
		id = firstSale + r.Int64N(lastSale-firstSale+1)
		return id, 1 + id%Customers
	}
	manager := func(format string) func(*rand.Rand) (string, int64) {
		return func(r *rand.Rand) (string, int64) { return fmt.Sprintf(format, product(r)), 0 }
	}
	page := func(path string) func(*rand.Rand) (string, int64) {
		return func(r *rand.Rand) (string, int64) { return path, 1 + r.Int64N(Customers) }
	}
	reads := []Read{
		{Title: "product", Service: "stock", Draw: manager("/products/%d")},
		{Title: "stock", Service: "stock", Draw: manager("/stock/%d")},
		{Title: "movements", Service: "stock", Draw: manager("/stock/%d/movements")},
		{Title: "products", Service: "stock", Draw: page("/products")},
		{Title: "products-by-name", Service: "stock", Draw: page("/products?sort=name")},
		{Title: "products-by-price", Service: "stock", Draw: page("/products?sort=-price")},
		{Title: "products-newest", Service: "stock", Draw: page("/products?sort=-createdAt")},
		{Title: "sales", Service: "sales", Draw: page("/sales")},
		{Title: "sales-confirmed", Service: "sales", Draw: page("/sales?status=Confirmed")},
	}
	if lastSale >= firstSale {
		reads = append(reads,
			Read{Title: "sale", Service: "sales", Draw: func(r *rand.Rand) (string, int64) {
				id, customer := sale(r)
				return fmt.Sprintf("/sales/%d", id), customer
			}},
			Read{Title: "timeline", Service: "sales", Draw: func(r *rand.Rand) (string, int64) {
				id, customer := sale(r)
				return fmt.Sprintf("/sales/%d/events", id), customer
			}})
	}
	all := make([]measure.Measurement, len(reads))
	for i, r := range reads {
		r.Shop = s
		all[i] = r
	}
	return all
}

// Name implements measure.Measurement.
func (m Read) Name() string { return "read/" + m.Title }

// About implements measure.Measurement.
func (m Read) About() string {
	return fmt.Sprintf("reads of %s at the service %s directly, %d concurrent", m.Title, m.Service, readers)
}

// Measure implements measure.Measurement.
func (m Read) Measure(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	client := wire.New(strings.TrimPrefix(m.Shop.System.ServiceURL(m.Service), "http://"))
	defer client.Close()
	var mu sync.Mutex
	var took []float64
	_, err := load.Closed(ctx, readers, d, func(ctx context.Context, r *rand.Rand, _ time.Time) error {
		path, customer := m.Draw(r)
		header := m.Shop.manager
		if customer > 0 {
			header = m.Shop.tokens[customer-1]
		}
		request := wire.Request{Method: http.MethodGet, Path: path, Header: header}
		began := time.Now()
		a, err := client.Do(ctx, request)
		if err != nil {
			return err
		}
		if a.Status != http.StatusOK {
			return unexpectedStatus(request, a)
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, since(began))
		return nil
	})
	return latencies("read", took), err
}
