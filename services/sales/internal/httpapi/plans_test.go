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
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/internal/server/servertest"
)

// inserts fill the tables of a service that has run for long: every fourth sale is Ann's,
// most are confirmed, and the retention of some rows has passed.
var inserts = []string{
	`INSERT INTO sales (id, customer_id, status, hold, reserved, reason, items, currency, created_at, updated_at, expires_at, repeat_at)
		SELECT n, IF(n % 4 = 0, 5, n), CASE n % 100 WHEN 1 THEN 'Pending' WHEN 2 THEN 'Canceled' WHEN 4 THEN 'Unauthorized' ELSE 'Confirmed' END,
		n % 100 = 1, n % 100 = 1, '', '[{"productId":7,"quantity":2}]', 'USD', NOW(6), NOW(6),
		IF(n % 100 = 1, NOW(6) + INTERVAL IF(n < 5000, -1, 1) HOUR, NULL), IF(n % 100 = 2, NOW(6) + INTERVAL IF(n < 5000, -1, 1) HOUR, NULL)
		FROM numbers`,
	`INSERT INTO timeline (sale_id, type, data, at) SELECT n, 'SaleCreated', '{}', NOW(6) FROM numbers`,
	`INSERT INTO timeline (sale_id, type, data, at) SELECT n, 'SaleConfirmed', '{}', NOW(6) FROM numbers`,
	`INSERT INTO requests (customer_id, key_hash, body_hash, response, created_at)
		SELECT IF(n % 4 = 0, 5, n), UNHEX(SHA2(n, 256)), UNHEX(SHA2(n, 256)), '{}', NOW(6) - INTERVAL IF(n % 100 = 0, 25, 1) HOUR FROM numbers`,
	`INSERT INTO outbox (event_id, body, claimed_at) SELECT UNHEX(CONCAT('7FFF', LPAD(HEX(n), 28, '0'))), '{}', NOW(6) + INTERVAL 1 HOUR FROM numbers`,
	`INSERT INTO dead_letters (id, fingerprint, queue, reason, message_id, type, correlation, trace_parent, content_type, body, died_at, stored_at)
		SELECT n, UNHEX(SHA2(n, 256)), 'stock.sale-events', 'rejected', '', '', '', '', '', REPEAT('x', 300), NOW(6), NOW(6) FROM numbers`,
}

// watched is the number of sales that one statement reads.
const watched = 1000

// exceptions are the statements that may read many rows.
var exceptions = []databasetest.Exception{
	{Task: "list-sales", SQL: "WHERE customer_id = ? AND status = ?", MaxRows: databasetest.Rows/4 + 1000,
		Reason: "A status is searched among the sales of the client. An index for it would cost each order two writes."},
	{Task: "admin-list-sales", SQL: "WHERE customer_id = ? AND status = ?", MaxRows: databasetest.Rows/4 + 1000,
		Reason: "The same for one client."},
	{Task: "poll watched sales", SQL: "MAX(id)", MaxRows: 10 * watched,
		Reason: "Four times a second for 1000 streams, and only of the index. MariaDB copies so many ids to a temporary table first."},
	{Task: "poll watched sales", SQL: "ORDER BY sale_id, id", MaxRows: 10 * watched,
		Reason: "Only for sales that have changed, which are all in this test."},
	{Task: "count dead letters", SQL: "SELECT count(*)", MaxRows: 2 * databasetest.Rows, AllowScan: true,
		Reason: "Every ten seconds, on an index of 32 bytes per dead letter. Many dead letters are a fault that raises an alert."},
}

// middleCursor returns a query with a cursor in the middle of a list that is ordered by ids.
func middleCursor(t *testing.T, kind string) string {
	t.Helper()
	cursor, err := page.Encode(kind, databasetest.Rows/2)
	if err != nil {
		t.Fatal(err)
	}
	return "limit=200&cursor=" + cursor
}

func TestStatementsDoNotScanGrowingTables(t *testing.T) {
	t.Parallel()
	s := openWithoutWatcher(t, schema(t)) // So that only tasks run statements.
	recorder := databasetest.Record(t, s.db, inserts...)
	s.Client = servertest.New(t, recorder.Handler(t, s.serves))
	s.callClientOperations(t)
	s.readLists(t)
	s.callDeadLetterOperations(t)
	s.runBackgroundTasks(t, recorder)
	recorder.Check(t, nil, exceptions...)
}

// expectStatus calls an operation and fails the test unless the response has the status.
func (s testService) expectStatus(t *testing.T, status int, method, path, bearer, body string, header ...string) {
	t.Helper()
	if a := s.Call(t, method, path, bearer, body, header...); a.Status != status {
		t.Errorf("%s %s: %d %s, want %d", method, path, a.Status, a.Body, status)
	}
}

// callClientOperations calls the operations of clients, except for the lists.
func (s testService) callClientOperations(t *testing.T) {
	t.Helper()
	s.expectStatus(t, 202, "POST", "/sales", s.ann, order, "Idempotency-Key", "a")
	s.expectStatus(t, 202, "POST", "/sales", s.ann, order, "Idempotency-Key", "a")
	s.expectStatus(t, 202, "POST", "/sales", s.ann, order, "Idempotency-Key", "b", "Prefer", "wait=1")
	held := s.place(t, `{"items":[{"productId":7,"quantity":2}],"hold":true}`)
	s.receive(t, reserved(held))
	s.expectStatus(t, 200, "PATCH", path(held), s.ann, "")
	s.expectStatus(t, 204, "DELETE", path(s.place(t, order)), s.ann, "")
	s.expectStatus(t, 200, "GET", path(held), s.ann, "")
	s.expectStatus(t, 200, "GET", path(held, "/events"), s.ann, "")
	s.expectStatus(t, 200, "GET", path(held, "/events?", middleCursor(t, "timeline")), s.ann, "")
	s.expectStatus(t, 200, "GET", path(held, "/stream"), s.ann, "")
}

// readLists reads the first page and a middle page of every list.
func (s testService) readLists(t *testing.T) {
	t.Helper()
	for _, status := range []string{"", "Pending", "Confirmed", "Canceled", "Unauthorized"} {
		query := "?"
		if status != "" {
			query = "?status=" + status + "&"
		}
		s.expectStatus(t, 200, "GET", "/sales"+query, s.ann, "")
		s.expectStatus(t, 200, "GET", "/sales"+query+middleCursor(t, "sales."+status), s.ann, "")
		s.expectStatus(t, 200, "GET", "/sales"+query, s.bob, "")
		for _, customer := range []int64{0, 3, annID} {
			all := query
			if customer != 0 {
				all += fmt.Sprintf("customerId=%d&", customer)
			}
			s.expectStatus(t, 200, "GET", "/admin/sales"+all, s.manager, "")
			s.expectStatus(t, 200, "GET", "/admin/sales"+all+middleCursor(t, fmt.Sprintf("admin.sales.%s.%d", status, customer)), s.manager, "")
		}
	}
}

// callDeadLetterOperations calls the operations for dead letters.
func (s testService) callDeadLetterOperations(t *testing.T) {
	t.Helper()
	s.expectStatus(t, 200, "GET", "/admin/dead-letters", s.manager, "")
	s.expectStatus(t, 200, "GET", "/admin/dead-letters?"+middleCursor(t, "dead-letters"), s.manager, "")
	s.expectStatus(t, 204, "POST", "/admin/dead-letters/8/redrive", s.manager, "")
	s.expectStatus(t, 200, "POST", "/admin/dead-letters/redrive", s.manager, `{"limit":5}`)
	s.expectStatus(t, 204, "DELETE", "/admin/dead-letters/9", s.manager, "")
}

// confirmAll is an outbox.Publisher that confirms all messages.
type confirmAll struct{}

func (confirmAll) Publish(_ context.Context, batch []broker.Message) ([]broker.Message, error) {
	return batch, nil
}

// runBackgroundTasks runs the consumer and the periodic tasks of the service.
func (s testService) runBackgroundTasks(t *testing.T, recorder *databasetest.Recorder) {
	t.Helper()
	events := outbox.New("sales", s.db, confirmAll{}, quiet, prometheus.NewRegistry())
	old, err := event.New("sales", event.SaleCreated{SaleID: 1, CustomerID: 1}, time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	old.ID = uuid.UUID{15: 1}
	waiting, err := broker.Encode(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Exec("INSERT INTO outbox (event_id, body, claimed_at) VALUES (?, ?, NOW(6) - INTERVAL 1 MINUTE)", database.Binary(old.ID[:]), database.Binary(waiting.Body)).Error; err != nil {
		t.Fatal(err)
	}
	received := []event.Envelope{}
	for _, data := range []event.Data{reserved(s.place(t, order)), rejected(s.place(t, order))} {
		e, err := event.New("stock", data, time.Now(), "")
		if err != nil {
			t.Fatal(err)
		}
		received = append(received, e)
	}
	ctx := t.Context()
	for id := range int64(watched) {
		_, stop, err := s.watcher.Subscribe(1000+10*id, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	for task, do := range map[string]func() error{
		"consume":             func() error { return s.handler.Handle(ctx, received[:1]) },
		"consume again":       func() error { return s.handler.Handle(ctx, slices.Concat(received, received[:1])) },
		"find locked rows":    func() error { _, err := s.handler.Locked(ctx, received, true); return err },
		"poll watched sales":  func() error { return s.watcher.Poll(ctx, s.store) },
		"expire":              func() error { _, err := s.store.Expire(ctx); return err },
		"repeat":              func() error { _, err := s.store.Repeat(ctx); return err },
		"purge":               func() error { return s.store.Purge(ctx) },
		"relay the outbox":    func() error { return events.Relay(ctx) },
		"store a dead letter": func() error { return s.store.StoreDeadLetter(ctx, newDeadLetter("x")) },
		"compare with stock": func() error {
			if _, err := s.store.LastSale(ctx); err != nil {
				return err
			}
			_, err := s.store.SalesInRange(ctx, 1, 1000)
			return err
		},
		"count dead letters": func() error { _, err := s.store.CountDeadLetters(ctx); return err },
	} {
		recorder.Run(t, task, do)
	}
}
