package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/server/servertest"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/stock/internal/httpapi"
	"ecommerce-stack.dev/services/stock/internal/mysql"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// testService is the service with a real database. Its events are not published.
type testService struct {
	*servertest.Client
	serves          http.Handler
	db              *gorm.DB
	store           *mysql.Store
	manager, client string
}

func open(t testing.TB) testService {
	t.Helper()
	dsn := testenv.Schema(t)
	if err := database.Migrate(t.Context(), dsn, mysql.Migrations(), quiet); err != nil {
		t.Fatal(err)
	}
	return openWithDSN(t, dsn)
}

func openWithDSN(t testing.TB, dsn string) testService {
	t.Helper()
	db, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	store := mysql.New(db, outbox.New("stock", db, broker.NewPublisher("", "test"), quiet, prometheus.NewRegistry()))
	keys := authntest.New(t)
	srv := server.New(server.Options{Name: "stock", Log: quiet, Metrics: telemetry.NewRegistry("stock"), Health: health.New(),
		Verifier: keys.Verifier(t)})
	api := httpapi.API{Catalog: store, Inventory: store, Currency: "USD"}
	api.Register(srv.API())
	return testService{servertest.New(t, srv.Handler()), srv.Handler(), db, store, keys.Bearer(t, 1, authn.Manager), keys.Bearer(t, 2, authn.Client)}
}

// product creates a product and returns its id.
func (s testService) product(t *testing.T, name, price string, quantity int) int64 {
	t.Helper()
	a := s.Call(t, "POST", "/products", s.manager,
		fmt.Sprintf(`{"name":%q,"description":"x","price":%q,"initialQuantity":%d}`, name, price, quantity))
	if a.Status != 201 {
		t.Fatalf("add a product: %d %s", a.Status, a.Body)
	}
	return int64(a.JSON(t)["id"].(float64))
}

func TestProductLifecycle(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.product(t, "Desk", "19.90", 5)
	path := fmt.Sprintf("/products/%d", id)

	read := s.Call(t, "GET", path, "", "")
	if got := read.JSON(t); read.Status != 200 || got["price"] != "19.90" || got["currency"] != "USD" || got["name"] != "Desk" {
		t.Fatalf("read: %d %s", read.Status, read.Body)
	}
	tag := read.Header.Get("ETag")
	if a := s.Call(t, "GET", path, "", "", "If-None-Match", tag); a.Status != 304 || len(a.Body) != 0 {
		t.Errorf("read with its ETag: %d %s, want 304 without a body", a.Status, a.Body)
	}
	change := fmt.Sprintf(`{"productId":%d,"price":21}`, id)
	updated := s.Call(t, "PUT", "/products", s.manager, change, "If-Match", `"99", `+tag)
	if got := updated.JSON(t); updated.Status != 200 || got["price"] != "21.00" || got["name"] != "Desk" {
		t.Errorf("change the price: %d %s", updated.Status, updated.Body)
	}
	for _, c := range []struct {
		ifNoneMatch string
		status      int
	}{{"*", 412}, {`"1", ` + updated.Header.Get("ETag"), 412}, {"W/" + updated.Header.Get("ETag"), 412}, {tag, 200}} {
		if a := s.Call(t, "PUT", "/products", s.manager, change, "If-None-Match", c.ifNoneMatch); a.Status != c.status {
			t.Errorf("change with If-None-Match: %s: %d %s, want %d", c.ifNoneMatch, a.Status, a.Body, c.status)
		}
	}
	if a := s.Call(t, "DELETE", path, s.manager, "", "If-None-Match", "*"); a.Status != 412 {
		t.Errorf("delete with If-None-Match: *: %d %s, want 412", a.Status, a.Body)
	}
	if a := s.Call(t, "PUT", "/products", s.manager, change, "If-Match", tag); a.Status != 412 {
		t.Errorf("change with a stale ETag: %d, want 412", a.Status)
	}
	if a := s.Call(t, "GET", path, "", "", "If-None-Match", tag); a.Status != 200 {
		t.Errorf("read with a stale ETag: %d, want 200", a.Status)
	}
	if a := s.Call(t, "DELETE", path, s.manager, "", "If-Match", tag); a.Status != 412 {
		t.Errorf("delete with a stale ETag: %d, want 412", a.Status)
	}
	if a := s.Call(t, "DELETE", path, s.manager, ""); a.Status != 204 {
		t.Errorf("delete: %d %s, want 204", a.Status, a.Body)
	}
	for _, again := range []servertest.Response{
		s.Call(t, "GET", path, "", ""), s.Call(t, "DELETE", path, s.manager, ""), s.Call(t, "PUT", "/products", s.manager, change),
	} {
		if again.Status != 404 || again.Code() != "product_not_found" {
			t.Errorf("after the deletion: %d %s, want 404", again.Status, again.Body)
		}
	}
	if a := s.Call(t, "GET", fmt.Sprintf("/stock/%d/movements", id), s.manager, ""); a.Status != 200 || !strings.Contains(string(a.Body), `"received"`) {
		t.Errorf("history after the deletion: %d %s", a.Status, a.Body)
	}
}

func TestManualMovements(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.product(t, "Desk", "1", 10)
	for _, step := range []struct {
		method, what             string
		status                   int
		code                     string
		available, reserved, out float64
	}{
		{"POST", "receive/5", 200, "", 15, 0, 0},
		{"POST", "reserve/16", 409, "insufficient_stock", 15, 0, 0},
		{"POST", "reserve/9", 200, "", 6, 9, 0},
		{"POST", "release/10", 409, "insufficient_reserved", 6, 9, 0},
		{"POST", "release/4", 200, "", 10, 5, 0},
		{"DELETE", "remove/6", 409, "insufficient_reserved", 10, 5, 0},
		{"DELETE", "remove/5", 200, "", 10, 0, 5},
		{"POST", "receive/0", 422, "", 10, 0, 5},
		{"POST", "receive/-1", 422, "", 10, 0, 5},
		{"POST", "receive/1000000001", 422, "", 10, 0, 5},
		{"POST", "receive/99999999999999999999", 422, "", 10, 0, 5},
		{"POST", "reserve/many", 422, "", 10, 0, 5},
	} {
		a := s.Call(t, step.method, fmt.Sprintf("/stock/%d/%s", id, step.what), s.manager, "")
		if a.Status != step.status || step.code != "" && a.Code() != step.code {
			t.Errorf("%s: %d %s, want %d %s", step.what, a.Status, a.Body, step.status, step.code)
		}
		if step.status == 422 && a.Locations() != "path.quantity" {
			t.Errorf("%s: the problem names %q, want path.quantity", step.what, a.Locations())
		}
		got := s.Call(t, "GET", fmt.Sprintf("/stock/%d", id), s.manager, "").JSON(t)
		if got["quantityAvailable"] != step.available || got["quantityReserved"] != step.reserved || got["quantityRemoved"] != step.out {
			t.Errorf("after %s: %v, want %v, %v and %v", step.what, got, step.available, step.reserved, step.out)
		}
	}
	if a := s.Call(t, "GET", fmt.Sprintf("/stock/%d/available", id), s.manager, ""); a.JSON(t)["quantityAvailable"] != 10.0 {
		t.Errorf("available: %s, want 10", a.Body)
	}
	report := s.Call(t, "GET", "/stock/audit", s.manager, "").JSON(t)
	if v := report["violations"].([]any); len(v) != 0 || report["products"] != 1.0 || report["movements"] != 5.0 {
		t.Errorf("audit: %v, want one product, five movements and no violation", report)
	}
	if a := s.Call(t, "POST", "/stock/999/receive/1", s.manager, ""); a.Status != 404 {
		t.Errorf("unknown product: %d, want 404", a.Status)
	}
}

func TestListsArePaginatedFilteredAndSorted(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i, p := range []struct {
		name, price string
		quantity    int
	}{{"Desk", "30", 1}, {"Chair", "20", 0}, {"Lamp 100%", "20", 5}, {"Armchair", "10", 2}, {"Shelf", "40", 0}} {
		if id := s.product(t, p.name, p.price, p.quantity); id == 0 {
			t.Fatal(i)
		}
	}
	for query, want := range map[string]string{
		"":                         "Desk Chair Lamp 100% Armchair Shelf",
		"sort=name":                "Armchair Chair Desk Lamp 100% Shelf",
		"sort=price":               "Armchair Chair Lamp 100% Desk Shelf",
		"sort=-price":              "Shelf Desk Lamp 100% Chair Armchair",
		"sort=-createdAt":          "Shelf Armchair Lamp 100% Chair Desk",
		"q=chair":                  "Chair Armchair",
		"q=%25":                    "Lamp 100%",
		"minPrice=20&maxPrice=30":  "Desk Chair Lamp 100%",
		"inStock=true":             "Desk Lamp 100% Armchair",
		"inStock=false":            "Chair Shelf",
		"inStock=true&sort=-price": "Desk Lamp 100% Armchair",
		"q=nothing":                "",
	} {
		for _, limit := range []int{1, 2, 50} {
			if got := s.names(t, query, limit); got != want {
				t.Errorf("?%s in pages of %d: got %q, want %q", query, limit, got, want)
			}
		}
	}
	for query, location := range map[string]string{
		"limit=0": "query.limit", "limit=201": "query.limit", "limit=x": "query.limit", "cursor=x": "query.cursor",
		"sort=color": "query.sort", "minPrice=x": "query.minPrice", "maxPrice=-1": "query.maxPrice", "inStock=maybe": "query.inStock",
		"minPrice=2&maxPrice=1": "query.minPrice",
		"sort=-createdAt&cursor=" + forged(t, "-createdAt", `{"id":1,"createdAt":"0000-01-01T00:00:00Z"}`): "query.cursor",
		"sort=-createdAt&cursor=" + forged(t, "-createdAt", `{"id":1}`):                                    "query.cursor",
	} {
		if a := s.Call(t, "GET", "/products?"+query, "", ""); a.Status != 422 || a.Locations() != location {
			t.Errorf("?%s: %d naming %q, want 422 naming %q", query, a.Status, a.Locations(), location)
		}
	}
}

// forged returns a cursor that no response has contained.
func forged(t *testing.T, sort, key string) string {
	t.Helper()
	cursor, err := page.Encode("products."+sort, json.RawMessage(key))
	if err != nil {
		t.Fatal(err)
	}
	return cursor
}

// names returns the names in all pages of a list.
func (s testService) names(t *testing.T, query string, limit int) string {
	t.Helper()
	var names []string
	cursor := ""
	for range 10 {
		a := s.Call(t, "GET", fmt.Sprintf("/products?limit=%d&cursor=%s&%s", limit, cursor, query), "", "")
		if a.Status != 200 {
			t.Fatalf("?%s: %d %s", query, a.Status, a.Body)
		}
		page := a.JSON(t)
		for _, item := range page["items"].([]any) {
			names = append(names, item.(map[string]any)["name"].(string))
		}
		next, more := page["nextCursor"].(string)
		if !more {
			return strings.Join(names, " ")
		}
		cursor = next
	}
	t.Fatalf("?%s: more than 10 pages", query)
	return ""
}

func TestRepeatedRequestsHaveOneEffect(t *testing.T) {
	t.Parallel()
	s := open(t)
	const body = `{"name":"Desk","price":"1.00","initialQuantity":20}`
	created := s.Call(t, "POST", "/products", s.manager, body, "Idempotency-Key", "p")
	again := s.Call(t, "POST", "/products", s.manager, `{"price":1.0, "name":"Desk","initialQuantity":20}`, "Idempotency-Key", "p")
	if again.Status != 201 || string(again.Body) != string(created.Body) || again.Header.Get("Idempotent-Replayed") != "true" ||
		again.Header.Get("Location") != created.Header.Get("Location") || created.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("repeat: %d %v %s, want the response %s", again.Status, again.Header, again.Body, created.Body)
	}
	if a := s.Call(t, "POST", "/products", s.manager, `{"name":"Table","price":"1.00"}`, "Idempotency-Key", "p"); a.Status != 422 || a.JSON(t)["code"] != "idempotency_key_reused" {
		t.Errorf("another product: %d %s", a.Status, a.Body)
	}
	id := int64(created.JSON(t)["id"].(float64))
	for _, step := range []string{"POST receive 9", "POST reserve 5", "POST release 1", "DELETE remove 1"} {
		var method, kind string
		var quantity int
		if _, err := fmt.Sscan(step, &method, &kind, &quantity); err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/stock/%d/%s/", id, kind)
		first := s.Call(t, method, path+fmt.Sprint(quantity), s.manager, "", "Idempotency-Key", kind)
		again := s.Call(t, method, path+fmt.Sprint(quantity), s.manager, "", "Idempotency-Key", kind)
		if first.Status != 200 || again.Status != 200 || string(again.Body) != string(first.Body) || again.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s: %d %s, then %d %s", step, first.Status, first.Body, again.Status, again.Body)
		}
		if a := s.Call(t, method, path+"2", s.manager, "", "Idempotency-Key", kind); a.Status != 422 {
			t.Errorf("%s with another quantity: %d %s", kind, a.Status, a.Body)
		}
	}
	stock := s.Call(t, "GET", fmt.Sprintf("/stock/%d", id), s.manager, "").JSON(t)
	if stock["quantityAvailable"] != 25.0 || stock["quantityReserved"] != 3.0 || stock["quantityRemoved"] != 1.0 {
		t.Errorf("stock %v, want each movement once", stock)
	}
	if a := s.Call(t, "POST", fmt.Sprintf("/stock/%d/reserve/100", id), s.manager, "", "Idempotency-Key", "refused"); a.Status != 409 {
		t.Errorf("too much: %d", a.Status)
	}
	if a := s.Call(t, "POST", fmt.Sprintf("/stock/%d/reserve/1", id), s.manager, "", "Idempotency-Key", "refused"); a.Status != 200 {
		t.Errorf("the key of a refused request: %d %s, want a new request", a.Status, a.Body)
	}
	if err := s.db.Exec("UPDATE requests SET created_at = created_at - INTERVAL 25 HOUR").Error; err != nil {
		t.Fatal(err)
	}
	if err := s.store.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := s.Call(t, "POST", "/products", s.manager, body, "Idempotency-Key", "p"); a.Status != 201 || a.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("after a day: %d %v, want another product", a.Status, a.Header)
	}
}

func TestConcurrentRepeatsMoveOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.product(t, "Desk", "1", 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if a := s.Call(t, "POST", fmt.Sprintf("/stock/%d/receive/3", id), s.manager, "", "Idempotency-Key", "k"); a.Status != 200 || a.JSON(t)["quantityAvailable"] != 3.0 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			if a := s.Call(t, "POST", "/products", s.manager, `{"name":"Twin","price":1}`, "Idempotency-Key", "twin"); a.Status != 201 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
	if got := s.names(t, "q=Twin", 50); got != "Twin" {
		t.Errorf("products: %s", got)
	}
}

func TestPreconditionsMayHaveSeveralLines(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.product(t, "Desk", "19.90", 5)
	tag := s.Call(t, "GET", fmt.Sprintf("/products/%d", id), "", "").Header.Get("ETag")
	for _, c := range []struct {
		method, path, body, field string
		status                    int
	}{
		{"GET", fmt.Sprintf("/products/%d", id), "", "If-None-Match", 304},
		{"PUT", "/products", fmt.Sprintf(`{"productId":%d,"price":21}`, id), "If-Match", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.URL(c.path), strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {s.manager}, "Content-Type": {"application/json"}, c.field: {`"99"`, tag}}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s with %s on two lines: %d, want %d", c.method, c.field, res.StatusCode, c.status)
		}
	}
}

func TestNamesAndQueriesAreInNFC(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.product(t, "Cafe\u0301 🍎", "1", 1)
	s.product(t, "Cafe 🍌", "1", 1)
	if got := s.Call(t, "GET", fmt.Sprintf("/products/%d", id), "", "").JSON(t)["name"]; got != "Caf\u00e9 🍎" {
		t.Errorf("name %q, want NFC", got)
	}
	for _, q := range []string{"caf\u00e9 🍎", "Cafe\u0301 🍎", "🍎"} {
		if got := s.names(t, "q="+url.QueryEscape(q), 50); got != "Caf\u00e9 🍎" {
			t.Errorf("q=%q: %q", q, got)
		}
	}
	body := fmt.Sprintf(`{"productId":%d,"description":"cre\u0300me"}`, id)
	if got := s.Call(t, "PUT", "/products", s.manager, body).JSON(t)["description"]; got != "cr\u00e8me" {
		t.Errorf("description %q, want NFC", got)
	}
}

func TestRuleOfNamesAppliesToChangesOnly(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.product(t, "Desk", "1", 1)
	if err := s.db.Exec("UPDATE products SET name = ?", "De\ask").Error; err != nil {
		t.Fatal(err)
	}
	if a := s.Call(t, "PUT", "/products", s.manager, fmt.Sprintf(`{"productId":%d,"price":2}`, id)); a.Status != 200 {
		t.Errorf("change the price of a product with a name from before the rule: %d %s", a.Status, a.Body)
	}
	for _, field := range []string{"name", "description", "price"} {
		a := s.Call(t, "PUT", "/products", s.manager, fmt.Sprintf(`{"productId":%d,%q:null}`, id, field))
		if got := fmt.Sprintf("%d %s", a.Status, a.Locations()); got != "422 body."+field {
			t.Errorf("%s null: %s, want 422\n%s", field, got, a.Body)
		}
	}
}

func TestInvalidProductsAreRejectedByField(t *testing.T) {
	t.Parallel()
	s := open(t)
	long := strings.Repeat("x", 2001)
	for body, want := range map[string]string{
		`{"name":"","price":"1"}`:                             "422 body.name",
		`{"name":"   ","price":"1"}`:                          "422 body.name",
		`{"name":"a\u0000b","price":"1"}`:                     "422 body.name",
		`{"name":"a\nb","price":"1"}`:                         "422 body.name",
		`{"name":"\u200d\u3164","price":"1"}`:                 "422 body.name",
		`{"name":"a","description":"\u0007","price":"1"}`:     "422 body.description",
		`{"name":"a","price":null}`:                           "422 body.price",
		"{\"name\":\"n\xff\",\"price\":\"1\"}":                "400 body",
		`{"name":"` + long[:201] + `","price":"1"}`:           "422 body.name",
		`{"name":"a","description":"` + long + `","price":1}`: "422 body.description",
		`{"name":"a","price":"-1"}`:                           "422 body.price",
		`{"name":"a","price":"10000000"}`:                     "422 body.price",
		`{"name":"a","price":"1.999"}`:                        "422 body.price",
		`{"name":"a","price":"a lot"}`:                        "422 body.price",
		`{"name":"a","price":1e400}`:                          "422 body.price",
		`{"name":"a","price":"1","initialQuantity":-1}`:       "422 body.initialQuantity",
		`{"name":"a","price":"1","initialQuantity":1.5}`:      "422 body.initialQuantity",
		`{"name":"a","price":"1","color":"red"}`:              "422 body.color",
		`{"price":"1"}`:                                       "422 body.name",
		`{"name":"a"`:                                         "400 body",
		`[]`:                                                  "422 body",
	} {
		a := s.Call(t, "POST", "/products", s.manager, body)
		if got := fmt.Sprintf("%d %s", a.Status, a.Locations()); got != want {
			t.Errorf("%.60s: got %s, want %s\n%s", body, got, want, a.Body)
		}
	}
	if got := s.names(t, "", 50); got != "" {
		t.Errorf("rejected products are in the catalog: %s", got)
	}
}

func TestWritesAndInventoryRequireManager(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.product(t, "Desk", "1", 1)
	for _, call := range []string{"POST /products", "PUT /products", fmt.Sprintf("DELETE /products/%d", id),
		fmt.Sprintf("GET /stock/%d", id), fmt.Sprintf("GET /stock/%d/available", id), fmt.Sprintf("POST /stock/%d/receive/1", id),
		fmt.Sprintf("POST /stock/%d/reserve/1", id), fmt.Sprintf("POST /stock/%d/release/1", id),
		fmt.Sprintf("DELETE /stock/%d/remove/1", id), fmt.Sprintf("GET /stock/%d/movements", id), "GET /stock/audit"} {
		method, path, _ := strings.Cut(call, " ")
		if a := s.Call(t, method, path, "", ""); a.Status != 401 {
			t.Errorf("%s without a token: %d, want 401", call, a.Status)
		}
		if a := s.Call(t, method, path, s.client, ""); a.Status != 403 {
			t.Errorf("%s as a client: %d, want 403", call, a.Status)
		}
	}
}

func TestOperationsWithoutDatabaseRespond503(t *testing.T) {
	t.Parallel()
	s := openWithDSN(t, "unknown:secret@tcp(127.0.0.1:1)/none")
	for _, call := range [][3]string{{"GET", "/products", ""}, {"POST", "/products", `{"name":"a","price":"1"}`}} {
		a := s.Call(t, call[0], call[1], s.manager, call[2])
		if a.Status != 503 || a.Header.Get("Retry-After") == "" || strings.Contains(string(a.Body), "127.0.0.1") {
			t.Errorf("%s %s: %d, Retry-After %q, body %s; want 503 with Retry-After and no internals",
				call[0], call[1], a.Status, a.Header.Get("Retry-After"), a.Body)
		}
	}
}
