package httpapi_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/internal/server/servertest"
	"ecommerce-stack.dev/services/stock/internal/catalog"
	"ecommerce-stack.dev/services/stock/internal/messaging"
)

// inserts fill the tables of a service that has run for long: every tenth product is
// deleted, every twentieth is sold out, and a quarter of the ledger is of product 7.
var inserts = []string{
	`INSERT INTO products (id, name, description, price, version, created_at, updated_at, deleted_at)
		SELECT n, CONCAT('Desk ', (n * 7919) % 20000), REPEAT('oiled ', 20), n % 500, 1, NOW(6) - INTERVAL n MINUTE, NOW(6),
		IF(n % 10 = 0, NOW(6), NULL) FROM numbers`,
	`INSERT INTO stocks (product_id, available, reserved_sales, reserved_manual, removed, updated_at)
		SELECT n, IF(n % 20 = 1, 0, 1000), 0, 100, 0, NOW(6) FROM numbers`,
	`INSERT INTO movements (product_id, kind, quantity, at) SELECT IF(n % 4 = 0, 7, n), 'received', 100, NOW(6) FROM numbers`,
	`INSERT INTO movements (product_id, kind, quantity, sale_id, at) SELECT IF(n % 4 = 0, 7, n), 'reserved', 1, n, NOW(6) FROM numbers`,
	`INSERT INTO reservations (sale_id, customer_id, status, lines_json, at)
		SELECT n, n, 'Removed', '[{"productId":7,"quantity":2}]', NOW(6) FROM numbers`,
	`INSERT INTO requests (caller_id, key_hash, body_hash, response, created_at)
		SELECT n % 10, UNHEX(SHA2(n, 256)), UNHEX(SHA2(n, 256)), '{}', NOW(6) - INTERVAL IF(n % 100 = 0, 25, 0) HOUR FROM numbers`,
	`INSERT INTO audit_checkpoints SELECT n, 0, 2, 100, 1, 0, 0, 0, 0, 0 FROM numbers`,
	`INSERT INTO outbox (event_id, body, claimed_at) SELECT UNHEX(CONCAT('7FFF', LPAD(HEX(n), 28, '0'))), '{}', NOW(6) + INTERVAL 1 HOUR FROM numbers`,
}

// exceptions are the statements that may read many rows.
var exceptions = []databasetest.Exception{
	{Task: "audit-stock", SQL: "FROM movements", MaxRows: 8 * databasetest.Rows,
		Reason: "Reads the movements after the checkpoint, here the whole ledger, and groups them in a temporary table."},
	{Task: "advance the checkpoint", SQL: "FROM movements", MaxRows: 3 * databasetest.Rows, AllowScan: true,
		Reason: "Reads at most 500,000 ids, and the newest movements until one is older than a minute."},
	{Task: "verify checkpoints", SQL: "FROM audit_checkpoints", MaxRows: 2 * databasetest.Rows, AllowScan: true,
		Reason: "Reads the checkpoints of all products once for each time that the ledger is read."},
	{Task: "list-products", SQL: "LIKE", MaxRows: 2 * databasetest.Rows,
		Reason: "MySQL and MariaDB have no common index for text within words. At worst the catalog is read once, in the order of the list."},
	{Task: "list-products", SQL: "available > 0", MaxRows: 2 * databasetest.Rows,
		Reason: "Every order would write an index of the available quantity. At worst the catalog is read once, with its stocks."},
	{Task: "list-products", SQL: "price >= ?", MaxRows: databasetest.Rows, MariaDBOnly: true,
		Reason: "A price range with another order: the products in the range are sorted, or the catalog is read until the page is full."},
}

func TestStatementsDoNotScanGrowingTables(t *testing.T) {
	t.Parallel()
	s := open(t)
	recorder := databasetest.Record(t, s.db, inserts...)
	s.Client = servertest.New(t, recorder.Handler(t, s.serves))
	s.callProductOperations(t)
	s.readLists(t)
	s.runBackgroundTasks(t, recorder)
	recorder.Check(t, nil, exceptions...)
}

// expectStatus calls an operation as a manager and fails the test unless the response has the status.
func (s testService) expectStatus(t *testing.T, status int, method, path, body string) {
	t.Helper()
	if a := s.Call(t, method, path, s.manager, body); a.Status != status {
		t.Errorf("%s %s: %d %s, want %d", method, path, a.Status, a.Body, status)
	}
}

// callProductOperations calls all operations, except for the list of products.
func (s testService) callProductOperations(t *testing.T) {
	t.Helper()
	id := s.product(t, "Lamp", "5.00", 10)
	s.expectStatus(t, 200, "PUT", "/products", fmt.Sprintf(`{"productId":%d,"price":"6.00"}`, id))
	s.expectStatus(t, 200, "GET", fmt.Sprintf("/products/%d", id), "")
	for _, step := range []string{"POST /stock/%d/receive/9", "POST /stock/%d/reserve/3", "POST /stock/%d/release/1",
		"DELETE /stock/%d/remove/1", "GET /stock/%d", "GET /stock/%d/available", "GET /stock/%d/movements"} {
		var method, path string
		if _, err := fmt.Sscan(fmt.Sprintf(step, id), &method, &path); err != nil {
			t.Fatal(err)
		}
		s.expectStatus(t, 200, method, path, "")
	}
	for range 2 {
		if a := s.Call(t, "POST", fmt.Sprintf("/stock/%d/receive/1", id), s.manager, "", "Idempotency-Key", "k"); a.Status != 200 {
			t.Errorf("repeat: %d %s", a.Status, a.Body)
		}
	}
	s.expectStatus(t, 204, "DELETE", fmt.Sprintf("/products/%d", id), "")
	s.expectStatus(t, 200, "GET", "/stock/7/movements", "")
	s.expectStatus(t, 200, "GET", "/stock/7/movements?limit=200&cursor="+cursor(t, "movements", databasetest.Rows), "")
	s.expectStatus(t, 200, "GET", "/stock/audit", "")
}

func cursor[K any](t *testing.T, kind string, key K) string {
	t.Helper()
	c, err := page.Encode(kind, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// readLists reads the first page and a middle page of the catalog with every filter in
// every order.
func (s testService) readLists(t *testing.T) {
	t.Helper()
	middle := catalog.Product{ID: databasetest.Rows / 2, Name: "Desk 18000", Price: money.MustParse("250.00"),
		CreatedAt: database.Now().Add(-databasetest.Rows / 2 * time.Minute)}
	for _, sort := range []catalog.Sort{catalog.ByID, catalog.ByName, catalog.ByPrice, catalog.ByPriceDesc, catalog.ByNewest} {
		for _, filter := range []string{"", "&inStock=true", "&inStock=false", "&minPrice=100&maxPrice=110", "&minPrice=499", "&maxPrice=0",
			"&q=desk", "&q=nothing", "&q=desk&inStock=true&minPrice=1"} {
			s.expectStatus(t, 200, "GET", "/products?sort="+string(sort)+filter, "")
			s.expectStatus(t, 200, "GET", "/products?limit=200&sort="+string(sort)+filter+"&cursor="+
				cursor(t, "products."+string(sort), catalog.PositionOf(middle, sort)), "")
		}
	}
}

// confirmAll is an outbox.Publisher that confirms all messages.
type confirmAll struct{}

func (confirmAll) Publish(_ context.Context, batch []broker.Message) ([]broker.Message, error) {
	return batch, nil
}

func newEnvelope(t *testing.T, data event.Data) event.Envelope {
	t.Helper()
	e, err := event.New("sales", data, time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// runBackgroundTasks runs the consumer and the periodic tasks of the service.
func (s testService) runBackgroundTasks(t *testing.T, recorder *databasetest.Recorder) {
	t.Helper()
	events := outbox.New("stock", s.db, confirmAll{}, quiet, prometheus.NewRegistry())
	old := newEnvelope(t, event.ProductChanged{ProductID: 7})
	old.ID = uuid.UUID{15: 1}
	waiting, err := broker.Encode(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Exec("INSERT INTO outbox (event_id, body, claimed_at) VALUES (?, ?, NOW(6) - INTERVAL 1 MINUTE)", database.Binary(old.ID[:]), database.Binary(waiting.Body)).Error; err != nil {
		t.Fatal(err)
	}
	items := []event.Item{{ProductID: 7, Quantity: 2}, {ProductID: 8, Quantity: 1}}
	first, second := int64(databasetest.Rows+1), int64(databasetest.Rows+2)
	placed := []event.Envelope{newEnvelope(t, event.SaleCreated{SaleID: first, CustomerID: 5, Items: items}),
		newEnvelope(t, event.SaleCreated{SaleID: second, CustomerID: 5, Items: items})}
	decided := []event.Envelope{newEnvelope(t, event.SaleConfirmed{SaleID: first, Items: items}),
		newEnvelope(t, event.SaleCanceled{SaleID: second, Reason: event.ReasonCustomer})}
	handler := messaging.Handler{Store: s.store, Log: quiet}
	ctx := t.Context()
	for _, task := range []struct {
		name string
		do   func() error
	}{
		{"consume", func() error { return handler.Handle(ctx, placed) }},
		{"consume decisions", func() error { return handler.Handle(ctx, decided) }},
		{"consume again", func() error {
			return handler.Handle(ctx, slices.Concat(placed, []event.Envelope{newEnvelope(t, event.SaleCreated{SaleID: second + 1, CustomerID: 5, Items: items})}))
		}},
		{"find locked rows", func() error { _, err := handler.Locked(ctx, slices.Concat(placed, decided), true); return err }},
		{"purge", func() error { return s.store.Purge(ctx) }},
		{"comparison with sales", func() error { _, err := s.store.Reservations(ctx, 1, 1000); return err }},
		{"advance the checkpoint", func() error { _, err := s.store.AdvanceCheckpoint(ctx); return err }},
		{"verify checkpoints", func() error { _, _, err := s.store.NewCheckpointVerifier().Verify(ctx); return err }},
		{"relay the outbox", func() error { return events.Relay(ctx) }},
	} {
		recorder.Run(t, task.name, task.do)
	}
}
