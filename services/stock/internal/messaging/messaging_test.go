package messaging_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/stock/internal/catalog"
	"ecommerce-stack.dev/services/stock/internal/inventory"
	"ecommerce-stack.dev/services/stock/internal/messaging"
	"ecommerce-stack.dev/services/stock/internal/mysql"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// testService is the inventory with a real database. Its events are not published.
type testService struct {
	db      *gorm.DB
	store   *mysql.Store
	handler messaging.Handler
}

func open(t *testing.T) testService {
	t.Helper()
	db := databasetest.Open(t, testenv.Schema(t), mysql.Migrations())
	store := mysql.New(db, outbox.New("stock", db, broker.NewPublisher("", "test"), quiet, prometheus.NewRegistry()))
	return testService{db, store, messaging.Handler{Store: store, Log: quiet}}
}

func (w testService) product(t *testing.T, quantity int64) int64 {
	t.Helper()
	p, _, err := w.store.Create(t.Context(), catalog.Product{Name: "Desk", Price: money.MustParse("19.99")}, quantity, 1, idempotency.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

func envelope(t *testing.T, data event.Data) event.Envelope {
	t.Helper()
	e, err := event.New("sales", data, time.Now(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// published returns the numbers of events in the outbox by type.
func (w testService) published(t *testing.T) map[string]int {
	t.Helper()
	var bodies [][]byte
	if err := w.db.Raw("SELECT body FROM outbox").Scan(&bodies).Error; err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for _, b := range bodies {
		e, err := event.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		types[e.Type]++
		if e.Type != event.ProductChangedType && e.TraceParent == "" {
			t.Errorf("%s has no trace", e.Type)
		}
	}
	return types
}

func (w testService) audit(t *testing.T) {
	t.Helper()
	report, err := w.store.Audit(t.Context())
	if err != nil || len(report.Violations) > 0 {
		t.Errorf("audit: %v, violations %v", err, report.Violations)
	}
}

func TestBatchIsDecidedInOrder(t *testing.T) {
	t.Parallel()
	w := open(t)
	id := w.product(t, 5)
	var batch []event.Envelope
	for sale := range int64(4) {
		batch = append(batch, envelope(t, event.SaleCreated{SaleID: sale + 1, CustomerID: 5, Items: []event.Item{{ProductID: id, Quantity: 2}}}))
	}
	if err := w.handler.Handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	s, err := w.store.Stock(t.Context(), id)
	if err != nil || s.Available != 1 || s.ReservedSales != 4 {
		t.Errorf("stock %+v, %v; want 1 available and 4 reserved", s, err)
	}
	published := w.published(t)
	if published[event.SaleItemsReservedResponseType] != 2 || published[event.SaleCreationFailedType] != 2 {
		t.Errorf("published %v, want two reserved and two rejected", published)
	}
	w.audit(t)
}

func TestPoisonEventChangesNothing(t *testing.T) {
	t.Parallel()
	w := open(t)
	id := w.product(t, 5)
	good := envelope(t, event.SaleCreated{SaleID: 1, CustomerID: 5, Items: []event.Item{{ProductID: id, Quantity: 1}}})
	foreign := envelope(t, event.SaleCanceled{SaleID: 1})
	foreign.Type = "SaleLost"
	for name, bad := range map[string]event.Envelope{
		"a sale without a reservation is confirmed": envelope(t, event.SaleConfirmed{SaleID: 9}),
		"a sale without items":                      envelope(t, event.SaleCreated{SaleID: 9}),
		"a negative quantity":                       envelope(t, event.SaleCreated{SaleID: 9, Items: []event.Item{{ProductID: id, Quantity: -1}}}),
		"an unknown event":                          foreign,
	} {
		if err := w.handler.Handle(t.Context(), []event.Envelope{good, bad}); !errors.Is(err, broker.ErrPoison) {
			t.Errorf("%s: %v, want ErrPoison", name, err)
		}
	}
	if s, err := w.store.Stock(t.Context(), id); err != nil || s.Available != 5 {
		t.Errorf("stock %+v, %v; want all 5 available", s, err)
	}
	if err := w.handler.Handle(t.Context(), []event.Envelope{good}); err != nil {
		t.Errorf("the valid event alone: %v", err)
	}
}

// TestReplicasNeverOversell passes the events of many sales to several consumers, in any
// order and more than once, and checks the quantities.
func TestReplicasNeverOversell(t *testing.T) {
	t.Parallel()
	w := open(t)
	const sales, stock = 120, 60
	products := []int64{w.product(t, stock), w.product(t, stock), w.product(t, stock)}
	var events []event.Envelope
	for sale := range int64(sales) {
		items := []event.Item{{ProductID: products[sale%3], Quantity: 1}, {ProductID: products[(sale+1)%3], Quantity: 1}}
		events = append(events, envelope(t, event.SaleCreated{SaleID: sale + 1, CustomerID: 5, Items: items}))
		if sale%4 == 0 {
			events = append(events, envelope(t, event.SaleCanceled{SaleID: sale + 1, Reason: event.ReasonCustomer}))
		}
	}
	events = append(events, events...)
	rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	var wg sync.WaitGroup
	const replicas = 4
	for r := range replicas {
		wg.Go(func() {
			mine := events[r*len(events)/replicas : (r+1)*len(events)/replicas]
			for len(mine) > 0 {
				n := min(1+rand.IntN(20), len(mine))
				if err := w.handler.Handle(t.Context(), mine[:n]); err != nil {
					t.Errorf("replica %d: %v", r, err)
				}
				mine = mine[n:]
			}
		})
	}
	wg.Wait()
	published := w.published(t)
	if n := published[event.SaleItemsReservedResponseType] + published[event.SaleCreationFailedType]; n > sales || n < sales-sales/4 {
		t.Errorf("%d of %d sales were decided, of which %d may have been canceled first", n, sales, sales/4)
	}
	var total int64
	for _, id := range products {
		s, err := w.store.Stock(t.Context(), id)
		if err != nil || s.Available < 0 || s.Received() != stock {
			t.Errorf("stock %+v, %v; want no quantity below 0 and a sum of %d", s, err, stock)
		}
		total += s.ReservedSales
	}
	var held int64
	if err := w.db.Raw("SELECT COUNT(*) FROM reservations WHERE status = ?", inventory.ReservationReserved).Scan(&held).Error; err != nil {
		t.Fatal(err)
	}
	if total != 2*held {
		t.Errorf("a quantity of %d is reserved by %d sales of 2", total, held)
	}
	w.audit(t)
}

func TestDeletedProductIsNotSold(t *testing.T) {
	t.Parallel()
	w := open(t)
	id := w.product(t, 5)
	created := func(sale int64) []event.Envelope {
		return []event.Envelope{envelope(t, event.SaleCreated{SaleID: sale, CustomerID: 5, Items: []event.Item{{ProductID: id, Quantity: 1}}})}
	}
	if err := w.handler.Handle(t.Context(), created(1)); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Delete(t.Context(), id, catalog.Versions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.handler.Handle(t.Context(), created(2)); err != nil {
		t.Fatal(err)
	}
	if err := w.handler.Handle(t.Context(), []event.Envelope{envelope(t, event.SaleConfirmed{SaleID: 1})}); err != nil {
		t.Fatal(err)
	}
	published := w.published(t)
	want := fmt.Sprint(map[string]int{event.ProductChangedType: 2, event.SaleItemsReservedResponseType: 1,
		event.SaleCreationFailedType: 1, event.StockReleasedType: 1})
	if fmt.Sprint(published) != want {
		t.Errorf("published %v, want %v", published, want)
	}
	w.audit(t)
}

// TestRepeatedEventsAreAnsweredFromRows repeats the events of sales after each of them has
// changed its reservation, with a price and a quantity that have changed since.
func TestRepeatedEventsAreAnsweredFromRows(t *testing.T) {
	t.Parallel()
	w := open(t)
	id := w.product(t, 5)
	responses := func(data event.Data) string {
		t.Helper()
		if err := w.db.Exec("DELETE FROM outbox").Error; err != nil {
			t.Fatal(err)
		}
		if err := w.handler.Handle(t.Context(), []event.Envelope{envelope(t, data)}); err != nil {
			t.Fatal(err)
		}
		var bodies [][]byte
		if err := w.db.Raw("SELECT body FROM outbox").Scan(&bodies).Error; err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, body := range bodies {
			e, err := event.Parse(body)
			if err != nil {
				t.Fatal(err)
			}
			text += e.Type + string(e.Data)
		}
		return text
	}
	created := event.SaleCreated{SaleID: 1, CustomerID: 5, Items: []event.Item{{ProductID: id, Quantity: 2}}}
	tooMany := event.SaleCreated{SaleID: 2, CustomerID: 5, Items: []event.Item{{ProductID: id, Quantity: 4}}}
	reserved, rejected := responses(created), responses(tooMany)
	if err := w.db.Exec("UPDATE products SET price = 1").Error; err != nil {
		t.Fatal(err)
	}
	movement := inventory.Movement{ProductID: id, Kind: inventory.Received, Quantity: 100, ActorID: 1}
	if _, _, err := w.store.MoveManual(t.Context(), movement, idempotency.Request{}); err != nil {
		t.Fatal(err)
	}
	created.Repeated, tooMany.Repeated = true, true
	if again := responses(created); again != reserved || again == "" {
		t.Errorf("response %s, want %s", again, reserved)
	}
	if again := responses(tooMany); again != rejected || again == "" {
		t.Errorf("response %s, want %s", again, rejected)
	}
	confirmed, canceled := event.SaleConfirmed{SaleID: 1}, event.SaleCanceled{SaleID: 2}
	removed, released := responses(confirmed), responses(canceled)
	confirmed.Repeated, canceled.Repeated = true, true
	if again := responses(confirmed); again != removed || again == "" {
		t.Errorf("response %s, want %s", again, removed)
	}
	if again := responses(canceled); again != released || again == "" {
		t.Errorf("response %s, want %s", again, released)
	}
	w.audit(t)
}

// An outage of the broker leaves responses in the outbox, where copies of them would delay all others.
func TestRepeatedEventsAreNotAnsweredWhileTheOutboxIsBehind(t *testing.T) {
	t.Parallel()
	w := open(t)
	id := w.product(t, 5)
	handle := func(data event.Data) (responses int) {
		t.Helper()
		var before, after int
		for _, count := range []*int{&before, &after} {
			if count == &after {
				if err := w.handler.Handle(t.Context(), []event.Envelope{envelope(t, data)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.db.Raw("SELECT COUNT(*) FROM outbox").Scan(count).Error; err != nil {
				t.Fatal(err)
			}
		}
		return after - before
	}
	if err := w.db.Exec("DELETE FROM outbox").Error; err != nil {
		t.Fatal(err)
	}
	first := event.SaleCreated{SaleID: 1, CustomerID: 5, Items: []event.Item{{ProductID: id, Quantity: 1}}}
	if n := handle(first); n != 1 {
		t.Fatalf("%d responses, want 1", n)
	}
	const most = 1000 // of which all may be on their way
	err := w.db.Exec("INSERT INTO outbox (event_id, body) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "+
		"SELECT UNHEX(REPLACE(UUID(), '-', '')), '{}' FROM n a, n b LIMIT ?", most).Error
	if err != nil {
		t.Fatal(err)
	}
	first.Repeated = true
	if n := handle(first); n != 0 {
		t.Errorf("%d responses to a repeated event with more than %d events that wait, want none", n, most)
	}
	second := first
	second.SaleID = 2 // whose first event was lost
	if n := handle(second); n != 1 {
		t.Errorf("%d responses to an event that has an effect, want 1", n)
	}
	if err := w.db.Exec("DELETE FROM outbox WHERE body = '{}'").Error; err != nil {
		t.Fatal(err)
	}
	if n := handle(first); n != 1 {
		t.Errorf("%d responses to a repeated event, want 1", n)
	}
	w.audit(t)
}

func TestEventsThatNeedLockedRowsAreFound(t *testing.T) {
	t.Parallel()
	w := open(t)
	locked, free := w.product(t, 50), w.product(t, 50)
	created := func(sale int64, products ...int64) event.Envelope {
		var items []event.Item
		for _, id := range products {
			items = append(items, event.Item{ProductID: id, Quantity: 1})
		}
		return envelope(t, event.SaleCreated{SaleID: sale, CustomerID: 5, Items: items})
	}
	// Reservations of both products, and one whose row is locked.
	if err := w.handler.Handle(t.Context(), []event.Envelope{created(1, locked), created(2, free), created(3, free)}); err != nil {
		t.Fatal(err)
	}
	other := w.db.Begin()
	defer other.Rollback()
	for table, condition := range map[string]string{"stocks": fmt.Sprintf("product_id = %d", locked), "reservations": "sale_id = 3"} {
		if err := other.Exec("SELECT 1 FROM " + table + " WHERE " + condition + " FOR UPDATE").Error; err != nil {
			t.Fatal(err)
		}
	}
	batch := []event.Envelope{envelope(t, event.SaleConfirmed{SaleID: 1}), envelope(t, event.SaleConfirmed{SaleID: 2}), envelope(t, event.SaleCanceled{SaleID: 3}),
		created(4, free), created(5, free, locked), created(6, locked), created(7, locked+1000), envelope(t, event.SaleCanceled{SaleID: 8})}
	want := []bool{true, false, true, false, true, true, false, false}
	if got, err := w.handler.Locked(t.Context(), batch, false); err != nil || !slices.Equal(got, want) {
		t.Errorf("locked %v, %v; want %v", got, err, want)
	}
	var rest []event.Envelope
	for i, e := range batch {
		if !want[i] {
			rest = append(rest, e)
		}
	}
	if err := w.handler.Handle(t.Context(), rest); err != nil {
		t.Errorf("the others: %v", err)
	}
	if err := other.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	if got, err := w.handler.Locked(t.Context(), batch, false); err != nil || slices.Contains(got, true) {
		t.Errorf("without locks: %v, %v", got, err)
	}
}
