package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/load"
	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// readers is the number of concurrent readers, which is low so that reads do not wait for
// each other.
const readers = 2

// Reads returns the reads whose latency must not grow with the numbers of products and
// sales. They go to the services directly, without the cache of the gateway.
func Reads(s *Shop, products, firstSale, lastSale int64) []measure.Measurement {
	var all []measure.Measurement
	for _, read := range []struct{ name, service, path string }{
		{"product", "stock", "/products/%d"},
		{"stock", "stock", "/stock/%d"},
		{"movements", "stock", "/stock/%d/movements"},
		{"products", "stock", "/products"},
		{"products-by-name", "stock", "/products?sort=name"},
		{"products-by-price", "stock", "/products?sort=-price"},
		{"products-newest", "stock", "/products?sort=-createdAt"},
		{"sales", "sales", "/sales"},
		{"sales-confirmed", "sales", "/sales?status=Confirmed"},
		{"sale", "sales", "/sales/%d"},
		{"timeline", "sales", "/sales/%d/events"},
	} {
		// random returns a path and a token: that of the customer of a filled sale
		// (package fill), of a manager for a product, or of any customer for a page.
		random := func(r *rand.Rand) (path, token string) {
			switch read.name {
			case "sale", "timeline":
				id := firstSale + r.Int64N(lastSale-firstSale+1)
				return fmt.Sprintf(read.path, id), s.tokens[id%Customers]
			case "product", "stock", "movements":
				return fmt.Sprintf(read.path, 1+r.Int64N(products)), s.manager
			}
			return read.path, s.tokens[r.IntN(Customers)]
		}
		all = append(all, measure.Measurement{Name: "read/" + read.name,
			About: fmt.Sprintf("reads of %s at the service %s directly, %d concurrent", read.name, read.service, readers),
			Measure: func(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
				return s.reads(ctx, read.service, random, d)
			}})
	}
	return all
}

func (s *Shop) reads(ctx context.Context, service string, random func(*rand.Rand) (path, token string), d time.Duration) ([]measure.Figure, error) {
	c := newClient(s.System.ServiceURL(service))
	defer c.CloseIdleConnections()
	var mu sync.Mutex
	var took []float64
	_, err := load.Closed(ctx, readers, d, func(ctx context.Context, r *rand.Rand, _ time.Time) error {
		path, token := random(r)
		began := time.Now()
		_, _, err := c.do(ctx, http.StatusOK, http.MethodGet, path, token, nil)
		mu.Lock()
		defer mu.Unlock()
		took = append(took, since(began))
		return err
	})
	return latencies("read", took), err
}
