package contract_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

const rounds = 100

// TestPriceUpdateReachesEveryGateway updates a price that two gateways have cached, and
// measures the delay until both return the new price.
func TestPriceUpdateReachesEveryGateway(t *testing.T) {
	s := startSystem(t)
	second, err := s.Replica(t.Context(), "gateway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.StopService(second); err != nil {
			t.Error(err)
		}
	})
	api := &client.Client{URL: s.URL}
	manager, err := api.Login(t.Context(), s.ManagerEmail, s.ManagerPassword)
	if err != nil {
		t.Fatal(err)
	}
	p, err := api.AddProduct(t.Context(), manager, client.Product{Name: "Lamp", Price: "1.00"})
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/products/%d", p.ID)
	gateways := []string{s.URL + path, s.ServiceURL(second) + path}
	var took []time.Duration
	for round := range rounds {
		for _, url := range gateways {
			waitForResponse(t, url, "cached response", func(a cachedResponse) bool { return strings.Contains(a.cache, "hit") })
		}
		price := fmt.Sprintf("%d.50", round+1)
		began := time.Now()
		if err := api.Do(t.Context(), manager, http.MethodPut, "/products", map[string]any{"productId": p.ID, "price": price}, nil); err != nil {
			t.Fatal(err)
		}
		for _, url := range gateways {
			waitForResponse(t, url, "response with the price "+price, func(a cachedResponse) bool { return strings.Contains(a.body, `"`+price+`"`) })
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	median, longest := took[len(took)/2], took[len(took)-1]
	t.Logf("delay until two gateways return a new price: median %s, maximum %s of %d rounds", median, longest, rounds)
}

// cachedResponse is the body and the Cache-Status of a response.
type cachedResponse struct{ body, cache string }

// waitForResponse sends requests until is returns true for a response. Each request has
// another client address, so that it is not rate limited.
func waitForResponse(t *testing.T, url, what string, is func(cachedResponse) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var last cachedResponse
	for n := 0; ; n++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", fmt.Sprintf("198.19.%d.%d", n/250%250, n%250+1))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: no %s: %v; last %+v", url, what, err, last)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // it was read to its end
		if err != nil {
			t.Fatal(err)
		}
		if last = (cachedResponse{string(body), res.Header.Get("Cache-Status")}); is(last) {
			return
		}
	}
}
