package e2e

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/client"
)

func TestOrdersReachEveryStatus(t *testing.T) { newShop(t).ordersReachEveryStatus(t) }

func (s shop) ordersReachEveryStatus(t *testing.T) {
	t.Helper()
	id := s.product(t, 10)
	two := client.Item{ProductID: id, Quantity: 2}
	s.awaitStatus(t, s.place(t, id, 2), "Confirmed")
	s.awaitStatus(t, s.place(t, id, 100), "Unauthorized")
	for _, end := range []string{"Confirmed", "Canceled"} {
		sale, err := s.Place(t.Context(), s.customer, true, "", two)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Await(t.Context(), s.customer, sale.ID, "reserved", func(now client.Sale) bool { return now.TotalAmount == "39.98" }); err != nil {
			t.Fatal(err)
		}
		if end == "Confirmed" {
			_, err = s.Confirm(t.Context(), s.customer, sale.ID)
		} else {
			err = s.Cancel(t.Context(), s.customer, sale.ID)
		}
		if err != nil {
			t.Error(err)
		}
		s.awaitStatus(t, sale.ID, end)
	}
	s.awaitStock(t, id, client.Stock{Available: 6, Removed: 4})
}

func TestGatewayRejectsInvalidRequests(t *testing.T) {
	s := newShop(t)
	for _, c := range []struct {
		as           client.User
		method, path string
		body         any
		status       int
		code         string
	}{
		{client.User{}, http.MethodGet, "/sales", nil, 401, ""},
		{client.User{}, http.MethodPost, "/products", map[string]any{"name": "a", "price": "1"}, 401, ""},
		{s.customer, http.MethodPost, "/products", map[string]any{"name": "a", "price": "1"}, 403, "forbidden"},
		{s.customer, http.MethodGet, "/stock/audit", nil, 403, "forbidden"},
		{s.manager, http.MethodGet, "/sales", nil, 403, "forbidden"},
		{s.customer, http.MethodPost, "/sales", map[string]any{"items": []any{}}, 422, ""},
		{s.customer, http.MethodPost, "/sales", map[string]any{"items": []any{map[string]any{"productId": 1, "quantity": 0}}}, 422, ""},
		{s.customer, http.MethodGet, "/sales/999999999", nil, 404, "sale_not_found"},
		{s.customer, http.MethodGet, "/nothing", nil, 404, ""},
		{s.customer, http.MethodPut, "/sales", nil, 405, ""},
	} {
		err := s.Do(t.Context(), c.as, c.method, c.path, c.body, nil)
		p, ok := errors.AsType[*client.Problem](err)
		if !ok || p.Status != c.status || c.code != "" && p.Code != c.code || p.TraceID == "" {
			t.Errorf("%s %s: %v, want a problem with status %d %s and a trace id", c.method, c.path, err, c.status, c.code)
		}
	}
}

// TestServicesDoNotTrustTheGateway calls services directly.
func TestServicesDoNotTrustTheGateway(t *testing.T) {
	newShop(t)
	const services = "/api/v1/namespaces/shop/services/"
	// The API server itself responds with 401 to credentials that it does not accept.
	mustKubectl(t, "get", "--raw", services+"demo-sales:5002/proxy/livez")
	for _, path := range []string{"demo-sales:5002/proxy/sales", "demo-stock:5003/proxy/stock/audit", "demo-auth:5004/proxy/auth/users"} {
		out, err := kubectl(t, "", "get", "--raw", services+path)
		if err == nil || !strings.Contains(out, "Unauthorized") && !strings.Contains(out, "provide credentials") {
			t.Errorf("%s without a token: error %v, want status 401\n%s", path, err, out)
		}
	}
}
