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

// grown makes a store that has run for long: every fourth sale is Ann's, most are
// confirmed, and of all that has a retention some is past it.
var grown = []string{
	`INSERT INTO sales (customer_id, status, hold, reserved, reason, items, currency, created_at, updated_at, expires_at)
		SELECT IF(n % 4 = 0, 5, n), CASE n % 100 WHEN 1 THEN 'Pending' WHEN 2 THEN 'Canceled' WHEN 4 THEN 'Unauthorized' ELSE 'Confirmed' END,
		n % 100 = 1, n % 100 = 1, '', '[{"productId":7,"quantity":2}]', 'USD', NOW(6), NOW(6),
		IF(n % 100 = 1, NOW(6) + INTERVAL IF(n < 5000, -1, 1) HOUR, NULL) FROM numbers`,
	`INSERT INTO timeline (sale_id, type, data, at) SELECT n, 'SaleCreated', '{}', NOW(6) FROM numbers`,
	`INSERT INTO timeline (sale_id, type, data, at) SELECT n, 'SaleConfirmed', '{}', NOW(6) FROM numbers`,
	`INSERT INTO requests (customer_id, key_hash, body_hash, answer, created_at)
		SELECT IF(n % 4 = 0, 5, n), UNHEX(SHA2(n, 256)), UNHEX(SHA2(n, 256)), '{}', NOW(6) - INTERVAL IF(n % 100 = 0, 25, 1) HOUR FROM numbers`,
	`INSERT INTO inbox (event_id, claim)
		SELECT UNHEX(CONCAT(IF(n % 100 = 0, '0000', '7FFF'), LPAD(HEX(n), 28, '0'))), UNHEX(REPEAT('00', 16)) FROM numbers`,
	`INSERT INTO outbox (event_id, body) SELECT UNHEX(CONCAT('7FFF', LPAD(HEX(n), 28, '0'))), '{}' FROM numbers`,
	`INSERT INTO dead_letters (fingerprint, queue, reason, message_id, type, correlation, trace_parent, content_type, body, died_at, kept_at)
		SELECT UNHEX(SHA2(n, 256)), 'stock.sale-events', 'rejected', '', '', '', '', '', REPEAT('x', 300), NOW(6), NOW(6) FROM numbers`,
}

// watched sales are read by one statement.
const watched = 1000

// long are the statements that may read much.
var long = []databasetest.Exception{
	{Task: "list-sales", SQL: "WHERE customer_id = ? AND status = ?", MaxRows: databasetest.Rows/4 + 1000,
		Reason: "A status is found among the client's own sales: an index for it would cost each order two writes."},
	{Task: "admin-list-sales", SQL: "WHERE customer_id = ? AND status = ?", MaxRows: databasetest.Rows/4 + 1000,
		Reason: "The same of one client."},
	{Task: "sweep watched sales", SQL: "MAX(id)", MaxRows: 10 * watched,
		Reason: "Four times a second for 1000 streams, of the index alone. MariaDB copies so many ids to a temporary table first."},
	{Task: "sweep watched sales", SQL: "ORDER BY sale_id, id", MaxRows: 10 * watched,
		Reason: "Only of sales that have changed, which here are all of them."},
	{Task: "count dead letters", SQL: "SELECT count(*)", MaxRows: 2 * databasetest.Rows, AllowScan: true,
		Reason: "Every ten seconds, of an index of 32 bytes a letter. Many letters are a fault that somebody is told of."},
}

// half is a cursor in the middle of a list that is ordered by ids.
func half(t *testing.T, kind string) string {
	t.Helper()
	cursor, err := page.Encode(kind, databasetest.Rows/2)
	if err != nil {
		t.Fatal(err)
	}
	return "limit=200&cursor=" + cursor
}

func TestNoStatementScansATableThatGrows(t *testing.T) {
	t.Parallel()
	d := unwatched(t, schema(t)) // so that no statement runs but those of a task
	recorder := databasetest.Record(t, d.db, grown...)
	d.Client = servertest.New(t, recorder.Handler(t, d.serves))
	d.order(t)
	d.look(t)
	d.manage(t)
	d.work(t, recorder)
	recorder.Check(t, nil, long...)
}

// must calls an operation and expects a status.
func (d desk) must(t *testing.T, status int, method, path, bearer, body string, header ...string) {
	t.Helper()
	if a := d.Call(t, method, path, bearer, body, header...); a.Status != status {
		t.Errorf("%s %s: %d %s, want %d", method, path, a.Status, a.Body, status)
	}
}

// order calls what writes sales, and every way to read one.
func (d desk) order(t *testing.T) {
	t.Helper()
	d.must(t, 202, "POST", "/sales", d.ann, order, "Idempotency-Key", "a")
	d.must(t, 202, "POST", "/sales", d.ann, order, "Idempotency-Key", "a")
	d.must(t, 202, "POST", "/sales", d.ann, order, "Idempotency-Key", "b", "Prefer", "wait=1")
	held := d.place(t, `{"items":[{"productId":7,"quantity":2}],"hold":true}`)
	d.hear(t, reserved(held))
	d.must(t, 200, "PATCH", path(held), d.ann, "")
	d.must(t, 204, "DELETE", path(d.place(t, order)), d.ann, "")
	d.must(t, 200, "GET", path(held), d.ann, "")
	d.must(t, 200, "GET", path(held, "/events"), d.ann, "")
	d.must(t, 200, "GET", path(held, "/events?", half(t, "timeline")), d.ann, "")
	d.must(t, 200, "GET", path(held, "/stream"), d.ann, "")
}

// look reads every list, from its beginning and from its middle.
func (d desk) look(t *testing.T) {
	t.Helper()
	for _, status := range []string{"", "Pending", "Confirmed", "Canceled", "Unauthorized"} {
		query := "?"
		if status != "" {
			query = "?status=" + status + "&"
		}
		d.must(t, 200, "GET", "/sales"+query, d.ann, "")
		d.must(t, 200, "GET", "/sales"+query+half(t, "sales."+status), d.ann, "")
		d.must(t, 200, "GET", "/sales"+query, d.bob, "")
		for _, customer := range []int64{0, 3, annID} {
			all := query
			if customer != 0 {
				all += fmt.Sprintf("customerId=%d&", customer)
			}
			d.must(t, 200, "GET", "/admin/sales"+all, d.manager, "")
			d.must(t, 200, "GET", "/admin/sales"+all+half(t, fmt.Sprintf("admin.sales.%s.%d", status, customer)), d.manager, "")
		}
	}
}

// manage deals with dead letters.
func (d desk) manage(t *testing.T) {
	t.Helper()
	d.must(t, 200, "GET", "/admin/dead-letters", d.manager, "")
	d.must(t, 200, "GET", "/admin/dead-letters?"+half(t, "dead-letters"), d.manager, "")
	d.must(t, 204, "POST", "/admin/dead-letters/8/redrive", d.manager, "")
	d.must(t, 204, "DELETE", "/admin/dead-letters/9", d.manager, "")
}

// taken is a broker that takes all.
type taken struct{}

func (taken) Publish(_ context.Context, batch []broker.Message) ([]broker.Message, error) {
	return batch, nil
}

// work does what the service does without being asked.
func (d desk) work(t *testing.T, recorder *databasetest.Recorder) {
	t.Helper()
	events := outbox.New("sales", d.db, taken{}, quiet, prometheus.NewRegistry())
	old, err := event.New("sales", event.SaleCreated{SaleID: 1, CustomerID: 1}, time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	old.ID = uuid.UUID{15: 1}
	waiting, err := broker.Encode(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.db.Exec("INSERT INTO outbox (event_id, body) VALUES (?, ?)", database.Binary(old.ID[:]), database.Binary(waiting.Body)).Error; err != nil {
		t.Fatal(err)
	}
	heard := []event.Envelope{}
	for _, data := range []event.Data{reserved(d.place(t, order)), refused(d.place(t, order))} {
		e, err := event.New("stock", data, time.Now(), "")
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, e)
	}
	ctx, now := t.Context(), database.Now()
	for id := range int64(watched) {
		_, stop, err := d.watcher.Subscribe(1000+10*id, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	for task, do := range map[string]func() error{
		"consume":             func() error { return d.handler.Handle(ctx, heard[:1]) },
		"consume once more":   func() error { return d.handler.Handle(ctx, slices.Concat(heard, heard[:1])) },
		"sweep watched sales": func() error { return d.watcher.Sweep(ctx, d.store) },
		"expire":              func() error { _, err := d.store.Expire(ctx, now); return err },
		"purge":               func() error { return d.store.Purge(ctx, now) },
		"sweep the outbox":    func() error { return events.Relay(ctx) },
		"keep a dead letter":  func() error { return d.store.KeepLetter(ctx, letter("x")) },
		"count dead letters":  func() error { _, err := d.store.CountLetters(ctx); return err },
	} {
		recorder.Run(t, task, do)
	}
}
