package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"ecommerce-stack.dev/hack/internal/client"
)

// kind is what a shopper does with a request.
type kind string

// The kinds in the order of the report, with the share of each in percent: most visitors look
// at products, some order, and a few come back for their order.
var kinds = []struct {
	kind  kind
	share int
}{
	{"list", 35}, {"search", 15}, {"product", 30}, {"order", 10}, {"hold", 2}, {"decide", 2}, {"follow", 6},
}

// shopper is a customer with its sales.
type shopper struct {
	user  client.User
	sales []int64
	holds []int64 // that it has not confirmed or canceled
}

// shop chooses the requests. Its methods are safe for concurrent use.
type shop struct {
	url      string
	products []int64
	words    []string // to search for

	mu       sync.Mutex
	random   *rand.Rand
	popular  *rand.Zipf // selects a product
	shoppers []*shopper
	sent     uint64
}

func newShop(address string, seed uint64, products []int64, words []string, users []client.User) *shop {
	s := &shop{url: strings.TrimSuffix(address, "/"), products: products, words: words, random: rand.New(rand.NewPCG(seed, 0))}
	s.popular = rand.NewZipf(s.random, 1.2, 1, uint64(len(products)-1))
	for _, u := range users {
		s.shoppers = append(s.shoppers, &shopper{user: u})
	}
	return s
}

// idPrefix begins the request ids, which are <prefix>.<kind>.<shopper>.<number>.
const idPrefix = "load"

// next is a vegeta.Targeter.
func (s *shop) next(t *vegeta.Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := s.random.IntN(len(s.shoppers))
	by := s.shoppers[who]
	what := s.choose(by)
	*t = vegeta.Target{Method: http.MethodGet, Header: http.Header{}}
	switch what {
	case "list":
		t.URL = "/products?limit=20&sort=" + []string{"id", "name", "price", "-createdAt"}[s.random.IntN(4)]
	case "search":
		t.URL = "/products?limit=20&q=" + url.QueryEscape(s.words[s.random.IntN(len(s.words))])
	case "product":
		t.URL = fmt.Sprintf("/products/%d", s.product())
	case "order", "hold":
		t.Method, t.URL = http.MethodPost, "/sales"
		body, err := json.Marshal(map[string]any{"items": s.basket(), "hold": what == "hold"})
		if err != nil {
			return err
		}
		t.Body = body
		t.Header.Set("Content-Type", "application/json")
		t.Header.Set("Idempotency-Key", fmt.Sprintf("%016x%016x", s.random.Uint64(), s.random.Uint64()))
	case "decide":
		t.Method = []string{http.MethodPatch, http.MethodPatch, http.MethodDelete}[s.random.IntN(3)]
		t.URL = fmt.Sprintf("/sales/%d", by.holds[0])
		by.holds = by.holds[1:]
	case "follow":
		t.URL = fmt.Sprintf("/sales/%d", by.sales[len(by.sales)-1])
	}
	t.URL = s.url + t.URL
	by.user.Authorize(t.Header)
	s.sent++
	t.Header.Set("X-Request-Id", fmt.Sprintf("%s.%s.%d.%d", idPrefix, what, who, s.sent))
	return nil
}

// choose returns what a shopper does next: without a sale to return to, it looks at a product.
func (s *shop) choose(by *shopper) kind {
	n := s.random.IntN(100)
	what := kinds[0].kind
	for _, k := range kinds {
		if what = k.kind; n < k.share {
			break
		}
		n -= k.share
	}
	if what == "decide" && len(by.holds) == 0 || what == "follow" && len(by.sales) == 0 {
		return "product"
	}
	return what
}

func (s *shop) product() int64 { return s.products[s.popular.Uint64()] }

// basket returns 1 to 3 different products.
func (s *shop) basket() []client.Item {
	var items []client.Item
	for range 1 + s.random.IntN(3) {
		id := s.product()
		if !slices.ContainsFunc(items, func(i client.Item) bool { return i.ProductID == id }) {
			items = append(items, client.Item{ProductID: id, Quantity: 1 + s.random.Int64N(3)})
		}
	}
	return items
}

// ended tells the shop what became of a request. It returns its kind, and the sale that it has
// created, or 0.
func (s *shop) ended(r *vegeta.Result) (what kind, created int64) {
	what, who := s.parse(r)
	if what != "order" && what != "hold" || who < 0 || r.Code != http.StatusAccepted && r.Code != http.StatusCreated {
		return what, 0
	}
	var sale client.Sale
	if json.Unmarshal(r.Body, &sale) != nil || sale.ID == 0 {
		return what, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.shoppers[who]
	by.sales = append(by.sales, sale.ID)
	if what == "hold" {
		by.holds = append(by.holds, sale.ID)
	}
	return what, sale.ID
}

// parse returns the kind and the shopper of a request from the id that the gateway returns. A
// request without a response has only a kind.
func (s *shop) parse(r *vegeta.Result) (kind, int) {
	parts := strings.Split(r.Headers.Get("X-Request-Id"), ".")
	var who int
	if len(parts) == 4 && parts[0] == idPrefix {
		if _, err := fmt.Sscan(parts[2], &who); err == nil && who >= 0 && who < len(s.shoppers) {
			return kind(parts[1]), who
		}
	}
	path := strings.TrimPrefix(r.URL, s.url)
	switch {
	case r.Method == http.MethodPost:
		return "order", -1
	case r.Method != http.MethodGet:
		return "decide", -1
	case strings.HasPrefix(path, "/sales/"):
		return "follow", -1
	case strings.Contains(path, "q="):
		return "search", -1
	case strings.HasPrefix(path, "/products/"):
		return "product", -1
	}
	return "list", -1
}
