package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"
	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/server/servertest"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/httpapi"
	"ecommerce-stack.dev/services/sales/internal/messaging"
	"ecommerce-stack.dev/services/sales/internal/mysql"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// testService is the service with a real database. Its events are not published, and the
// test sends the events of stock.
type testService struct {
	*servertest.Client
	serves   http.Handler
	db       *gorm.DB
	store    *mysql.Store
	handler  messaging.Handler
	ann, bob string // two clients
	manager  string
	redriven *redriveRecorder
	log      *strings.Builder // read when nothing is in flight
	metrics  *prometheus.Registry
	watcher  *sale.Watcher
}

const annID = 5

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
	s := openWithoutWatcher(t, dsn)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.watcher.Run(ctx, s.store) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// openWithoutWatcher returns a testService whose watcher only reads when the test calls it.
func openWithoutWatcher(t testing.TB, dsn string) testService {
	t.Helper()
	db, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	watcher := sale.NewWatcher(quiet)
	store := mysql.New(db, outbox.New("sales", db, broker.NewPublisher("", "test"), quiet, prometheus.NewRegistry()),
		func(_ context.Context, changed sale.Sale, _ bool) { watcher.Changed(changed.ID) })
	keys := authntest.New(t)
	metrics := telemetry.NewRegistry("sales")
	srv := server.New(server.Options{Name: "sales", Log: quiet, Metrics: metrics, Health: health.New(),
		Verifier: keys.Verifier(t)})
	var sent redriveRecorder
	var log strings.Builder
	api := httpapi.API{Store: store, DeadLetters: store, Redrive: sent.send, Watcher: watcher, Currency: "USD", HoldTTL: 15 * time.Minute,
		Draining: srv.Draining(), Now: database.Clock(db), Log: slog.New(slog.NewTextHandler(&log, nil))}
	api.Register(srv.API())
	return testService{servertest.New(t, srv.Handler()), srv.Handler(), db, store, messaging.Handler{Store: store},
		keys.Bearer(t, annID, authn.Client), keys.Bearer(t, 6, authn.Client), keys.Bearer(t, 1, authn.Manager), &sent, &log, metrics, watcher}
}

const order = `{"items":[{"productId":7,"quantity":2}]}`

// place places an order and returns the id of the sale.
func (s testService) place(t *testing.T, body string) int64 {
	t.Helper()
	a := s.Call(t, "POST", "/sales", s.ann, body)
	if a.Status != 202 {
		t.Fatalf("place an order: %d %s", a.Status, a.Body)
	}
	return int64(a.JSON(t)["id"].(float64))
}

func path(id int64, rest ...string) string {
	return fmt.Sprintf("/sales/%d%s", id, strings.Join(rest, ""))
}

// receive handles events of stock.
func (s testService) receive(t *testing.T, data ...event.Data) {
	t.Helper()
	var batch []event.Envelope
	for _, one := range data {
		e, err := event.New("stock", one, time.Now(), "")
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, e)
	}
	if err := s.handler.Handle(context.WithoutCancel(t.Context()), batch); err != nil {
		t.Fatal(err)
	}
}

func reserved(id int64) event.Data {
	return event.SaleItemsReservedResponse{SaleID: id, CustomerID: annID,
		ItemsReserved: []event.PricedItem{{ProductID: 7, Quantity: 2, Price: decimal.RequireFromString("19.99")}}}
}

func rejected(id int64) event.Data {
	return event.SaleCreationFailed{SaleID: id, CustomerID: annID, Reason: event.ReasonInsufficientStock,
		Shortages: []event.Shortage{{ProductID: 7, Requested: 2, Available: 1}}}
}

func TestCommittedChangesAreReported(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, `{"items":[{"productId":7,"quantity":2}],"hold":true}`)
	type change struct {
		id      int64
		status  sale.Status
		decided bool
	}
	var changes []change
	store := mysql.New(s.db, outbox.New("sales", s.db, broker.NewPublisher("", "test"), quiet, prometheus.NewRegistry()),
		func(_ context.Context, s sale.Sale, decided bool) {
			changes = append(changes, change{s.ID, s.Status, decided})
		})
	if _, err := store.Confirm(t.Context(), id, annID); !errors.Is(err, sale.ErrNotReserved) || len(changes) != 0 {
		t.Errorf("a rejected change: error %v, reported %v", err, changes)
	}
	s.handler = messaging.Handler{Store: store}
	s.receive(t, reserved(id))
	if _, err := store.Confirm(t.Context(), id, annID); err != nil {
		t.Fatal(err)
	}
	s.receive(t, event.StockReleased{SaleID: id})
	want := []change{{id, sale.Pending, false}, {id, sale.Confirmed, true}, {id, sale.Confirmed, false}}
	if !slices.Equal(changes, want) {
		t.Errorf("reported %v; want the reservation, the decision and the release: %v", changes, want)
	}
}

func TestOldestUndecidedSaleWaitsForStock(t *testing.T) {
	t.Parallel()
	s := open(t)
	oldest := func() time.Time {
		t.Helper()
		at, err := s.store.OldestUndecided(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if at := oldest(); !at.IsZero() {
		t.Errorf("%s without a sale, want the zero time", at)
	}
	held := s.place(t, `{"items":[{"productId":7,"quantity":2}],"hold":true}`)
	first := oldest()
	ordinary := s.place(t, order)
	if at := oldest(); first.IsZero() || !at.Equal(first) {
		t.Errorf("%s, want that of the hold without stock, %s", at, first)
	}
	s.receive(t, reserved(held))
	if at := oldest(); !at.After(first) {
		t.Errorf("%s, want that of the second sale, after %s: a reserved hold waits for its customer", at, first)
	}
	s.receive(t, reserved(ordinary))
	if at := oldest(); !at.IsZero() {
		t.Errorf("%s with no sale that waits for stock, want the zero time", at)
	}
}

// published returns the types of the events in the outbox.
func (s testService) published(t *testing.T) string {
	t.Helper()
	var bodies [][]byte
	if err := s.db.Raw("SELECT body FROM outbox ORDER BY event_id").Scan(&bodies).Error; err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, b := range bodies {
		e, err := event.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
	}
	return strings.Join(types, " ")
}

func (s testService) timeline(t *testing.T, id int64) string {
	t.Helper()
	var types []string
	for _, item := range s.Call(t, "GET", path(id, "/events"), s.ann, "").JSON(t)["items"].([]any) {
		types = append(types, item.(map[string]any)["type"].(string))
	}
	return strings.Join(types, " ")
}

func TestAcceptedOrderIsPendingUntilStockDecides(t *testing.T) {
	t.Parallel()
	s := open(t)
	a := s.Call(t, "POST", "/sales", s.ann, order)
	got := a.JSON(t)
	id := int64(got["id"].(float64))
	if a.Status != 202 || got["status"] != "Pending" || a.Header.Get("Location") != path(id) || got["currency"] != "USD" {
		t.Fatalf("%d, Location %q, %s", a.Status, a.Header.Get("Location"), a.Body)
	}
	if _, priced := got["totalAmount"]; priced {
		t.Errorf("a pending sale has a price: %s", a.Body)
	}
	s.receive(t, reserved(id))
	got = s.Call(t, "GET", path(id), s.ann, "").JSON(t)
	if got["status"] != "Confirmed" || got["totalAmount"] != "39.98" {
		t.Errorf("after the reservation: %v, want it Confirmed at 39.98", got)
	}
	s.receive(t, event.StockReleased{SaleID: id, Items: []event.Item{{ProductID: 7, Quantity: 2}}, ReleasedAt: time.Now()})
	if want, got := "SaleCreated SaleItemsReservedResponse SaleConfirmed StockReleased", s.timeline(t, id); got != want {
		t.Errorf("timeline: %s, want %s", got, want)
	}
	if want, got := "SaleCreated SaleConfirmed", s.published(t); got != want {
		t.Errorf("published: %s, want %s", got, want)
	}
}

func TestRejectedOrderHasShortages(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	s.receive(t, rejected(id))
	got := s.Call(t, "GET", path(id), s.ann, "").JSON(t)
	if got["status"] != "Unauthorized" || got["reason"] != "insufficient_stock" || len(got["shortages"].([]any)) != 1 {
		t.Errorf("got %v, want it Unauthorized with its shortage", got)
	}
	for method, code := range map[string]string{"PATCH": "sale_not_pending", "DELETE": "sale_not_pending"} {
		if a := s.Call(t, method, path(id), s.ann, ""); a.Status != 409 || a.Code() != code {
			t.Errorf("%s: %d %s, want 409 %s", method, a.Status, a.Body, code)
		}
	}
}

func TestHoldIsPendingUntilConfirmed(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, `{"hold":true,"items":[{"productId":7,"quantity":2}]}`)
	if a := s.Call(t, "PATCH", path(id), s.ann, `{"status":"Confirmed"}`); a.Status != 409 || a.Code() != "stock_not_reserved" {
		t.Errorf("confirm before the reservation: %d %s", a.Status, a.Body)
	}
	s.receive(t, reserved(id))
	got := s.Call(t, "GET", path(id), s.ann, "").JSON(t)
	if got["status"] != "Pending" || got["expiresAt"] == nil || got["totalAmount"] != "39.98" {
		t.Errorf("after the reservation: %v, want it Pending with price and expiry", got)
	}
	if a := s.Call(t, "PATCH", path(id), s.ann, ""); a.Status != 200 || a.JSON(t)["status"] != "Confirmed" {
		t.Errorf("confirm: %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, "PATCH", path(id), s.ann, ""); a.Status != 409 || a.Code() != "sale_not_pending" {
		t.Errorf("confirm again: %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, "DELETE", path(id), s.ann, ""); a.Status != 409 {
		t.Errorf("cancel a confirmed sale: %d, want 409", a.Status)
	}
}

func TestCanceledSaleStaysCanceled(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	for range 2 {
		if a := s.Call(t, "DELETE", path(id), s.ann, ""); a.Status != 204 {
			t.Errorf("cancel: %d %s, want 204", a.Status, a.Body)
		}
	}
	s.receive(t, reserved(id))
	s.receive(t, event.StockCanceled{SaleID: id, Items: []event.Item{}})
	if got := s.Call(t, "GET", path(id), s.ann, "").JSON(t); got["status"] != "Canceled" || got["reason"] != "customer" {
		t.Errorf("got %v, want it Canceled by the customer", got)
	}
	if want, got := "SaleCreated SaleCanceled", s.published(t); got != want {
		t.Errorf("published: %s, want %s", got, want)
	}
	if want, got := "SaleCreated SaleCanceled StockCanceled", s.timeline(t, id); got != want {
		t.Errorf("timeline: %s, want %s", got, want)
	}
}

func TestOnlyExpiredHoldsAreCanceled(t *testing.T) {
	t.Parallel()
	s := open(t)
	held, plain := s.place(t, `{"hold":true,"items":[{"productId":7,"quantity":2}]}`), s.place(t, order)
	for _, step := range []struct{ minutes, want int }{{14, 0}, {2, 1}, {60, 0}} {
		if err := s.db.Exec("UPDATE sales SET expires_at = expires_at - INTERVAL ? MINUTE", step.minutes).Error; err != nil {
			t.Fatal(err)
		}
		if n, err := s.store.Expire(t.Context()); err != nil || n != step.want {
			t.Errorf("after %d more minutes: %d, %v; want %d", step.minutes, n, err, step.want)
		}
	}
	if got := s.Call(t, "GET", path(held), s.ann, "").JSON(t); got["status"] != "Canceled" || got["reason"] != "expired" {
		t.Errorf("held sale: %v, want it Canceled as expired", got)
	}
	if got := s.Call(t, "GET", path(plain), s.ann, "").JSON(t); got["status"] != "Pending" {
		t.Errorf("sale without hold: %v, want it Pending", got)
	}
}

func TestConcurrentExpireCancelsEachSaleOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	const sales, replicas = 250, 3
	err := s.db.Exec("INSERT INTO sales (customer_id, status, hold, reserved, reason, items, currency, created_at, updated_at, expires_at) VALUES " +
		strings.Repeat(",(5, 'Pending', 1, 1, '', '[]', 'USD', NOW(6), NOW(6), NOW(6) - INTERVAL 1 MINUTE)", sales)[1:]).Error
	if err != nil {
		t.Fatal(err)
	}
	var expired atomic.Int64
	var all sync.WaitGroup
	for range replicas {
		all.Go(func() {
			// Rows that another replica has locked are skipped.
			for {
				n, err := s.store.Expire(t.Context())
				if expired.Add(int64(n)); err != nil {
					t.Error(err)
				}
				if err != nil || n == 0 {
					return
				}
			}
		})
	}
	all.Wait()
	published := strings.Fields(s.published(t))
	if expired.Load() != sales || len(published) != sales || strings.Count(strings.Join(published, " "), "SaleCanceled") != sales {
		t.Errorf("%d sales were canceled and %d events published, want %d of each", expired.Load(), len(published), sales)
	}
}

func TestSalesOfOtherClientsAreNotFound(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	for _, call := range []string{"GET " + path(id), "PATCH " + path(id), "DELETE " + path(id), "GET " + path(id, "/events"), "GET " + path(id, "/stream")} {
		method, p, _ := strings.Cut(call, " ")
		if a := s.Call(t, method, p, s.bob, ""); a.Status != 404 {
			t.Errorf("%s as another client: %d, want 404", call, a.Status)
		}
		if a := s.Call(t, method, p, s.manager, ""); a.Status != 403 {
			t.Errorf("%s as a manager: %d, want 403", call, a.Status)
		}
		if a := s.Call(t, method, p, "", ""); a.Status != 401 {
			t.Errorf("%s without a token: %d, want 401", call, a.Status)
		}
	}
	if got := s.Call(t, "GET", "/sales", s.bob, "").JSON(t); len(got["items"].([]any)) != 0 {
		t.Errorf("another client lists %v", got)
	}
}

func TestRepeatedRequestsCreateOneSale(t *testing.T) {
	t.Parallel()
	s := open(t)
	const key = "Idempotency-Key"
	first := s.Call(t, "POST", "/sales", s.ann, order, key, "k")
	again := s.Call(t, "POST", "/sales", s.ann, ` {"items": [{"quantity": 2, "productId": 7}]}`, key, "k")
	if again.Status != 202 || again.Header.Get("Idempotent-Replayed") != "true" || string(again.Body) != string(first.Body) {
		t.Errorf("repeat: %d, replayed %q\n%s\nwant the first response\n%s", again.Status, again.Header.Get("Idempotent-Replayed"), again.Body, first.Body)
	}
	if again.Header.Get("Location") != first.Header.Get("Location") || first.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("headers: %v, first %v", again.Header, first.Header)
	}
	if a := s.Call(t, "POST", "/sales", s.ann, `{"items":[{"productId":7,"quantity":3}]}`, key, "k"); a.Status != 422 || a.Code() != "idempotency_key_reused" {
		t.Errorf("same key, other body: %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, "POST", "/sales", s.bob, order, key, "k"); a.Status != 202 || a.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("another client's key: %d %s, want another sale", a.Status, a.Body)
	}
	if a := s.Call(t, "POST", "/sales", s.ann, order, key, strings.Repeat("k", 256)); a.Status != 422 {
		t.Errorf("a key of 256 characters: %d, want 422", a.Status)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			a := s.Call(t, "POST", "/sales", s.ann, order, key, "many at once")
			if a.Status != 202 && (a.Status != 409 || a.Code() != "idempotency_in_progress") {
				t.Errorf("concurrent repeat: %d %s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
	if got := s.Call(t, "GET", "/sales", s.ann, "").JSON(t)["items"].([]any); len(got) != 2 {
		t.Errorf("%d sales, want 2, one per key", len(got))
	}
}

func TestRepeatOfRunningRequestConflicts(t *testing.T) {
	t.Parallel()
	s := open(t)
	header := []string{"Idempotency-Key", "k", "Prefer", "wait=30"}
	first := make(chan servertest.Response)
	go func() { first <- s.Call(t, "POST", "/sales", s.ann, order, header...) }()
	id := s.firstSale(t)
	if a := s.Call(t, "POST", "/sales", s.ann, order, header...); a.Status != 409 || a.Code() != "idempotency_in_progress" {
		t.Errorf("while the first waits: %d %s, want 409 idempotency_in_progress", a.Status, a.Body)
	}
	s.receive(t, reserved(id))
	want := <-first
	again := s.Call(t, "POST", "/sales", s.ann, order, header...)
	if want.Status != 201 || again.Status != 201 || string(again.Body) != string(want.Body) || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("repeat: %d %s, want the first response: %d %s", again.Status, again.Body, want.Status, want.Body)
	}
}

func TestRequestThatWaitedIsCompleted(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.Call(t, "POST", "/sales", s.ann, order, "Idempotency-Key", "k", "Prefer", "wait=1")
	a := s.Call(t, "POST", "/sales", s.ann, order, "Idempotency-Key", "k")
	if a.Status != 202 || a.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("after the wait: %d %s, want the stored 202", a.Status, a.Body)
	}
	// The service crashed while the request waited, and did not complete it.
	if err := s.db.Exec("UPDATE requests SET running_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND").Error; err != nil {
		t.Fatal(err)
	}
	if a := s.Call(t, "POST", "/sales", s.ann, order, "Idempotency-Key", "k"); a.Status != 202 {
		t.Errorf("after running_until: %d %s, want the stored 202", a.Status, a.Body)
	}
}

func TestOneOfConcurrentConfirmationsAndCancellationsSucceeds(t *testing.T) {
	t.Parallel()
	s := open(t)
	for range 5 {
		id := s.place(t, `{"hold":true,"items":[{"productId":7,"quantity":2}]}`)
		s.receive(t, reserved(id))
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for i := range 16 {
			method := []string{"PATCH", "DELETE"}[i%2]
			wg.Go(func() {
				a := s.Call(t, method, path(id), s.ann, "")
				mu.Lock()
				defer mu.Unlock()
				got[fmt.Sprintf("%s %d %s", method, a.Status, a.Code())]++
			})
		}
		wg.Wait()
		confirmed := got["PATCH 200 "] == 1 && got["PATCH 409 sale_not_pending"] == 7 && got["DELETE 409 sale_not_pending"] == 8
		canceled := got["DELETE 204 "] == 8 && got["PATCH 409 sale_not_pending"] == 8
		timeline := s.timeline(t, id)
		if !confirmed && !canceled || strings.Count(timeline, "SaleConfirmed")+strings.Count(timeline, "SaleCanceled") != 1 {
			t.Errorf("%v with the timeline %s, want one success", got, timeline)
		}
	}
}

func TestConcurrentRepeatsAtTwoReplicasCreateOneSalePerKey(t *testing.T) {
	t.Parallel()
	dsn := testenv.Schema(t)
	if err := database.Migrate(t.Context(), dsn, mysql.Migrations(), quiet); err != nil {
		t.Fatal(err)
	}
	replicas := []testService{openWithDSN(t, dsn), openWithDSN(t, dsn)}
	bearers := []string{replicas[0].ann, replicas[1].ann}
	var mu sync.Mutex
	ids := map[string]map[float64]bool{}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			key := fmt.Sprint(i / 2 % 8)
			a := replicas[i%2].Call(t, "POST", "/sales", bearers[i%2], order, "Idempotency-Key", key)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.Status == 202:
				if ids[key] == nil {
					ids[key] = map[float64]bool{}
				}
				ids[key][a.JSON(t)["id"].(float64)] = true
			case a.Status != 409 || a.Code() != "idempotency_in_progress":
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
	for key, sales := range ids {
		if len(sales) != 1 {
			t.Errorf("key %s created the sales %v, want one", key, sales)
		}
	}
	if got := replicas[0].Call(t, "GET", "/sales", replicas[0].ann, "").JSON(t)["items"].([]any); len(got) != 8 {
		t.Errorf("%d sales, want 8, one per key", len(got))
	}
}

// A cluster with several writers changes the distance of ids when a writer joins or leaves, also during a
// transaction, where a trigger changes it here.
func TestSalesOfOneTransactionHaveTheirIDs(t *testing.T) {
	t.Parallel()
	s := open(t)
	pool, err := s.db.DB()
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(1) // The session has the distance.
	for _, set := range []string{
		"SET SESSION auto_increment_increment = 1", "SET SESSION auto_increment_increment = 7", "SET SESSION auto_increment_increment = 3",
		"CREATE TRIGGER distance BEFORE INSERT ON sales FOR EACH ROW " +
			"SET @n = COALESCE(@n, 0) + 1, SESSION auto_increment_increment = CAST(IF(@n = 20, 5, @@SESSION.auto_increment_increment) AS UNSIGNED)",
	} {
		if _, err := pool.ExecContext(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for customer := range int64(60) {
			all.Go(func() {
				pending := sale.Sale{CustomerID: customer + 1, Status: sale.Pending, Currency: "USD", CreatedAt: database.Now(), UpdatedAt: database.Now()}
				created, _, err := s.store.Create(t.Context(), pending, sale.Request{})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.store.Sale(t.Context(), created.ID, customer+1); err != nil {
					t.Errorf("%s: sale %d is not that of customer %d: %v", set, created.ID, customer+1, err)
				}
			})
		}
		all.Wait()
	}
}

func TestConcurrentRepeatsOfCompletedRequestGetItsResponse(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := s.Call(t, "POST", "/sales", s.ann, order, "Idempotency-Key", "k")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if a := s.Call(t, "POST", "/sales", s.ann, order, "Idempotency-Key", "k"); a.Status != 202 || string(a.Body) != string(first.Body) {
				t.Errorf("repeat: %d %s, want the first response", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
}

func TestStoredResponsesAreDeletedAfterOneDay(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.Call(t, "POST", "/sales", s.ann, order, "Idempotency-Key", "k")
	for _, step := range []struct {
		hours    int
		replayed string
	}{{23, "true"}, {2, ""}} {
		if err := s.db.Exec("UPDATE requests SET created_at = created_at - INTERVAL ? HOUR", step.hours).Error; err != nil {
			t.Fatal(err)
		}
		if err := s.store.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a := s.Call(t, "POST", "/sales", s.ann, order, "Idempotency-Key", "k"); a.Header.Get("Idempotent-Replayed") != step.replayed {
			t.Errorf("after %d more hours: replayed %q, want %q", step.hours, a.Header.Get("Idempotent-Replayed"), step.replayed)
		}
	}
}

func TestPreferWaitRespondsWithDecidedSale(t *testing.T) {
	t.Parallel()
	s := open(t)
	done := make(chan servertest.Response)
	go func() { done <- s.Call(t, "POST", "/sales", s.ann, order, "Prefer", "wait=30", "Idempotency-Key", "k") }()
	s.receive(t, reserved(s.firstSale(t)))
	a := <-done
	if a.Status != 201 || a.JSON(t)["status"] != "Confirmed" || a.Header.Get("Preference-Applied") != "wait=30" {
		t.Errorf("%d, applied %q, %s; want 201 and Confirmed", a.Status, a.Header.Get("Preference-Applied"), a.Body)
	}
	again := s.Call(t, "POST", "/sales", s.ann, order, "Idempotency-Key", "k")
	if again.Status != 201 || string(again.Body) != string(a.Body) {
		t.Errorf("repeat: %d %s, want the same response", again.Status, again.Body)
	}
	if a := s.Call(t, "POST", "/sales", s.ann, order, "Prefer", "wait=1"); a.Status != 202 {
		t.Errorf("when the time passes: %d, want 202", a.Status)
	}
	if a := s.Call(t, "POST", "/sales", s.ann, order, "Prefer", "wait=soon"); a.Status != 202 || a.Header.Get("Preference-Applied") != "" {
		t.Errorf("a malformed preference: %d, applied %q; want it ignored", a.Status, a.Header.Get("Preference-Applied"))
	}
}

func TestPreferMayHaveSeveralFields(t *testing.T) {
	t.Parallel()
	s := open(t)
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL("/sales"), strings.NewReader(order))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {s.ann}, "Content-Type": {"application/json"}, "Prefer": {"respond-async", "wait=1"}}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Preference-Applied"); got != "wait=1" {
		t.Errorf("Preference-Applied: %q, want wait=1", got)
	}
}

// firstSale waits until Ann has a sale and returns its id.
func (s testService) firstSale(t *testing.T) int64 {
	t.Helper()
	for range 1000 {
		if items := s.Call(t, "GET", "/sales", s.ann, "").JSON(t)["items"].([]any); len(items) > 0 {
			return int64(items[0].(map[string]any)["id"].(float64))
		}
	}
	t.Fatal("no sale was created")
	return 0
}

func TestStreamSendsTimelineUntilDecision(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	lines := s.stream(t, id, "")
	if got := <-lines; got != "event: SaleCreated" {
		t.Fatalf("first event: %q", got)
	}
	s.receive(t, reserved(id))
	if a, b := <-lines, <-lines; a != "event: SaleItemsReservedResponse" || b != "event: SaleConfirmed" {
		t.Errorf("then: %q and %q", a, b)
	}
	if got, more := <-lines; more {
		t.Errorf("after the decision: %q, want the end", got)
	}
	items := s.Call(t, "GET", path(id, "/events"), s.ann, "").JSON(t)["items"].([]any)
	second := fmt.Sprintf("%.0f", items[1].(map[string]any)["id"])
	if got := <-s.stream(t, id, second); got != "event: SaleConfirmed" {
		t.Errorf("continued after the second: %q, want the third", got)
	}
}

func TestStreamOfAHoldBeginsAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, held)
	s.receive(t, reserved(id))
	items := s.Call(t, "GET", path(id, "/events"), s.ann, "").JSON(t)["items"].([]any)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // less than until the next comment
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL(path(id, "/stream")), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", s.ann)
	req.Header.Set("Last-Event-ID", fmt.Sprintf("%.0f", items[len(items)-1].(map[string]any)["id"]))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err != nil || res.StatusCode != 200 || line != ": connected\n" {
		t.Errorf("%d %q, %v; want a comment", res.StatusCode, line, err)
	}
}

func TestWaitForAHoldEndsWhenItIsReserved(t *testing.T) {
	t.Parallel()
	s := open(t)
	done := make(chan servertest.Response)
	go func() { done <- s.Call(t, "POST", "/sales", s.ann, held, "Prefer", "wait=30", "Idempotency-Key", "k") }()
	s.receive(t, reserved(s.firstSale(t)))
	a := <-done
	if a.Status != 202 || a.JSON(t)["status"] != "Pending" || a.JSON(t)["totalAmount"] == nil || a.Header.Get("Preference-Applied") != "wait=30" {
		t.Errorf("%d, applied %q, %s; want 202 with a total", a.Status, a.Header.Get("Preference-Applied"), a.Body)
	}
	if again := s.Call(t, "POST", "/sales", s.ann, held, "Idempotency-Key", "k"); again.Status != 202 || string(again.Body) != string(a.Body) {
		t.Errorf("repeat: %d %s, want the same response", again.Status, again.Body)
	}
}

func TestWaitForARejectedHoldEndsWithTheDecision(t *testing.T) {
	t.Parallel()
	s := open(t)
	done := make(chan servertest.Response)
	go func() { done <- s.Call(t, "POST", "/sales", s.ann, held, "Prefer", "wait=30") }()
	s.receive(t, rejected(s.firstSale(t)))
	if a := <-done; a.Status != 201 || a.JSON(t)["status"] != "Unauthorized" {
		t.Errorf("%d %s, want 201 and Unauthorized", a.Status, a.Body)
	}
}

// TestWaitThatTimesOutReturnsTheCurrentSale has no watcher that would report the decision.
func TestWaitThatTimesOutReturnsTheCurrentSale(t *testing.T) {
	t.Parallel()
	s := openWithoutWatcher(t, schema(t))
	done := make(chan servertest.Response)
	go func() { done <- s.Call(t, "POST", "/sales", s.ann, order, "Prefer", "wait=3", "Idempotency-Key", "k") }()
	s.receive(t, reserved(s.firstSale(t)))
	a := <-done
	if a.Status != 201 || a.JSON(t)["status"] != "Confirmed" {
		t.Errorf("%d %s, want the sale as it is", a.Status, a.Body)
	}
	if again := s.Call(t, "POST", "/sales", s.ann, order, "Idempotency-Key", "k"); string(again.Body) != string(a.Body) {
		t.Errorf("repeat: %d %s, want the same response", again.Status, again.Body)
	}
}

func (s testService) stream(t *testing.T, id int64, after string) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL(path(id, "/stream")), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", s.ann)
	req.Header.Set("Last-Event-ID", after)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	events := make(chan string, 10)
	go func() {
		defer close(events)
		defer res.Body.Close()
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if strings.HasPrefix(s.Text(), "event: ") {
				events <- s.Text()
			}
		}
	}()
	return events
}

func TestSalesAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	s := open(t)
	var ids []int64
	for range 5 {
		ids = append(ids, s.place(t, order))
	}
	s.receive(t, reserved(ids[1]), rejected(ids[3]))
	for query, want := range map[string][]int64{
		"":                    {ids[4], ids[3], ids[2], ids[1], ids[0]},
		"status=Pending":      {ids[4], ids[2], ids[0]},
		"status=Confirmed":    {ids[1]},
		"status=Unauthorized": {ids[3]},
		"status=Canceled":     nil,
	} {
		var got []int64
		for cursor, more := "", true; more; {
			page := s.Call(t, "GET", "/sales?limit=2&"+query+"&cursor="+cursor, s.ann, "").JSON(t)
			for _, item := range page["items"].([]any) {
				got = append(got, int64(item.(map[string]any)["id"].(float64)))
			}
			cursor, more = page["nextCursor"].(string)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("?%s: %v, want %v", query, got, want)
		}
	}
	for query, location := range map[string]string{"limit=0": "query.limit", "cursor=!": "query.cursor", "status=Lost": "query.status"} {
		if a := s.Call(t, "GET", "/sales?"+query, s.ann, ""); a.Status != 422 || a.Locations() != location {
			t.Errorf("?%s: %d naming %q, want 422 naming %q", query, a.Status, a.Locations(), location)
		}
	}
}

func TestInvalidOrdersAreRejectedByField(t *testing.T) {
	t.Parallel()
	s := open(t)
	hundred := strings.Repeat(`{"productId":1,"quantity":1},`, 100)
	for body, want := range map[string]string{
		`{}`:           "422 body.items",
		`{"items":[]}`: "422 body.items",
		`{"items":[` + hundred + `{"productId":1,"quantity":1}]}`:                     "422 body.items",
		`{"items":[{"productId":1,"quantity":0}]}`:                                    "422 body.items[0].quantity",
		`{"items":[{"productId":1,"quantity":10001}]}`:                                "422 body.items[0].quantity",
		`{"items":[{"productId":0,"quantity":1}]}`:                                    "422 body.items[0].productId",
		`{"items":[{"productId":1}]}`:                                                 "422 body.items[0].quantity",
		`{"items":[{"productId":"1","quantity":1}]}`:                                  "422 body.items[0].productId",
		`{"items":[{"productId":1,"quantity":6000},{"productId":1,"quantity":6000}]}`: "422 body.items",
		`{"items":[{"productId":1,"quantity":1,"price":"0.01"}]}`:                     "422 body.items[0].price",
		`{"items":[{"productId":1,"quantity":1}],"status":"Confirmed"}`:               "422 body.status",
		`not json`: "400 body",
	} {
		a := s.Call(t, "POST", "/sales", s.ann, body)
		if got := fmt.Sprintf("%d %s", a.Status, a.Locations()); got != want {
			t.Errorf("%.70s: got %s, want %s\n%s", body, got, want, a.Body)
		}
	}
	if a := s.Call(t, "PATCH", path(1), s.ann, `{"status":"Canceled"}`); a.Status != 422 || a.Locations() != "body.status" {
		t.Errorf("PATCH to another status: %d %s", a.Status, a.Body)
	}
	if got := s.Call(t, "GET", "/sales", s.ann, "").JSON(t); len(got["items"].([]any)) != 0 {
		t.Errorf("rejected orders created sales: %v", got)
	}
}

func TestOperationsWithoutDatabaseRespond503(t *testing.T) {
	t.Parallel()
	s := openWithDSN(t, "unknown:secret@tcp(127.0.0.1:1)/none")
	for _, call := range [][3]string{{"POST", "/sales", order}, {"GET", "/sales", ""}, {"GET", "/sales/1", ""}, {"PATCH", "/sales/1", ""}, {"DELETE", "/sales/1", ""}} {
		a := s.Call(t, call[0], call[1], s.ann, call[2])
		if a.Status != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d, Retry-After %q; want 503 with Retry-After", call[0], call[1], a.Status, a.Header.Get("Retry-After"))
		}
	}
}
