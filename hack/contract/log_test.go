package contract_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/testenv"
)

// TestLogsContainRequestIDAndTrace checks the logs of the gateway and of a service for
// one request.
func TestLogsContainRequestIDAndTrace(t *testing.T) {
	s := startSystem(t)
	api := &client.Client{URL: s.URL}
	manager, err := api.Login(t.Context(), s.ManagerEmail, s.ManagerPassword)
	if err != nil {
		t.Fatal(err)
	}
	id := rand.Text()
	const trace = "5bf92f3577b34da6a3ce929d0e0e4736"
	err = api.Do(t.Context(), manager, http.MethodGet, "/stock/audit", nil, nil,
		"X-Request-Id", id, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"gateway", "stock"} {
		testenv.Eventually(t, "a line of "+service+" has the request id and the trace", func() bool {
			return countLines(t, s.LogFile(service), id, trace) > 0
		})
	}
}

// TestOneOrderIsFollowedByItsTrace sets the level of the logs to debug, places an order and a
// hold that is too large, and finds all that happened to each by its trace id.
func TestOneOrderIsFollowedByItsTrace(t *testing.T) {
	s := startSystem(t)
	for _, service := range []string{"gateway", "sales", "stock"} {
		setLevel(t, s.MetricsURL(service), "debug")
		t.Cleanup(func() { setLevel(t, s.MetricsURL(service), "info") })
	}
	api := &client.Client{URL: s.URL}
	manager, err := api.Login(t.Context(), s.ManagerEmail, s.ManagerPassword)
	if err != nil {
		t.Fatal(err)
	}
	email := rand.Text() + "@example.com"
	customer, err := api.Register(t.Context(), "ann", email, rand.Text())
	if err != nil {
		t.Fatal(err)
	}
	product, err := api.AddProduct(t.Context(), manager, client.Product{Name: "Desk", Price: "1.00", Quantity: 5})
	if err != nil {
		t.Fatal(err)
	}
	order := func(trace string, quantity int64) client.Sale {
		var placed client.Sale
		err := api.Do(t.Context(), customer, http.MethodPost, "/sales",
			map[string]any{"items": []client.Item{{ProductID: product.ID, Quantity: quantity}}}, &placed,
			"Traceparent", "00-"+trace+"-00f067aa0ba902b7-01", "Prefer", "wait=10")
		if err != nil {
			t.Fatal(err)
		}
		return placed
	}
	confirmed, refused := newTraceID(t), newTraceID(t)
	one, other := order(confirmed, 2), order(refused, 50)
	userID := fmt.Sprintf(`"userId":%d`, customer.ID)
	for _, want := range []struct {
		service, trace string
		sale           int64
		message        string
		fields         []string
	}{
		{"gateway", confirmed, 0, "request", []string{`"path":"/sales"`, `"status":201`, userID}},
		{"sales", confirmed, 0, "request", []string{`"route":"/sales"`, `"status":201`, userID}},
		{"sales", confirmed, 0, "event published", []string{`"type":"SaleCreated"`}},
		{"stock", confirmed, 0, "event handled", []string{`"type":"SaleCreated"`}},
		{"stock", confirmed, one.ID, "sale decided", []string{`"outcome":"Reserved"`}},
		{"stock", confirmed, 0, "event published", []string{`"type":"SaleItemsReservedResponse"`}},
		{"sales", confirmed, one.ID, "sale decided", []string{`"outcome":"Confirmed"`, `"hold":false`}},
		{"stock", confirmed, one.ID, "reservation ended", []string{`"outcome":"Removed"`}},
		{"stock", refused, other.ID, "sale decided", []string{`"outcome":"Rejected"`, `"reason":"insufficient_stock"`}},
		{"sales", refused, other.ID, "sale decided", []string{`"outcome":"Unauthorized"`, `"reason":"insufficient_stock"`}},
	} {
		parts := append(slices.Clone(want.fields), `"msg":"`+want.message+`"`, `"traceId":"`+want.trace+`"`)
		if want.sale != 0 {
			parts = append(parts, fmt.Sprintf(`"saleId":%d,`, want.sale))
		}
		testenv.Eventually(t, fmt.Sprintf("%s has one line with %s", want.service, parts), func() bool {
			return countLines(t, s.LogFile(want.service), parts...) == 1
		})
	}
	for _, service := range []string{"auth", "gateway", "sales", "stock"} {
		if n := countLines(t, s.LogFile(service), email); n > 0 {
			t.Errorf("%d lines of %s contain the email of the customer", n, service)
		}
	}
}

// newTraceID returns a trace id that no other test uses.
func newTraceID(t *testing.T) string {
	t.Helper()
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(id)
}

// setLevel sets the level of a service's logs.
func setLevel(t *testing.T, metricsURL, level string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, metricsURL+"/log-level", strings.NewReader(level))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the level is not set: %s", res.Status)
	}
}

// countLines returns how many lines of a file contain all the parts.
func countLines(t *testing.T, file string, parts ...string) (n int) {
	t.Helper()
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			n++
		}
	}
	return n
}
