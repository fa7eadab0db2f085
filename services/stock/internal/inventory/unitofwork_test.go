package inventory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

var now = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func price(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// open returns a UnitOfWork with two products, the second of which is deleted.
func open(available int64, reservations ...inventory.Reservation) *inventory.UnitOfWork {
	return inventory.Begin(now,
		[]inventory.Stock{{ProductID: 1, Available: available}, {ProductID: 2, Available: available}},
		map[int64]inventory.Offer{1: {Price: price("19.99"), InCatalog: true}, 2: {Price: price("5"), InCatalog: false}},
		reservations)
}

// reserve reserves the items of sale 42.
func reserve(t testing.TB, u *inventory.UnitOfWork, items ...event.Item) event.Data {
	t.Helper()
	lines, err := inventory.NewLines(items)
	if err != nil {
		t.Fatal(err)
	}
	published, err := u.Apply(inventory.Command{Action: inventory.ActionReserve, SaleID: 42, CustomerID: 5, Lines: lines})
	if err != nil {
		t.Fatal(err)
	}
	return published
}

func TestLinesAreMergedAndOrdered(t *testing.T) {
	t.Parallel()
	lines, err := inventory.NewLines([]event.Item{{ProductID: 7, Quantity: 1}, {ProductID: 3, Quantity: 2}, {ProductID: 7, Quantity: 4}})
	if diff := cmp.Diff([]inventory.Line{{ProductID: 3, Quantity: 2}, {ProductID: 7, Quantity: 5}}, lines); diff != "" || err != nil {
		t.Errorf("lines, error %v (-want +got):\n%s", err, diff)
	}
	if _, err := inventory.NewLines([]event.Item{{ProductID: 1, Quantity: inventory.MaxQuantity - 1}, {ProductID: 1, Quantity: 1}}); err != nil {
		t.Errorf("the maximum quantity: %v", err)
	}
	for name, items := range map[string][]event.Item{
		"no items":               nil,
		"no product":             {{Quantity: 1}},
		"no quantity":            {{ProductID: 1}},
		"too many":               {{ProductID: 1, Quantity: inventory.MaxQuantity + 1}},
		"too many, in two items": {{ProductID: 1, Quantity: inventory.MaxQuantity}, {ProductID: 1, Quantity: 1}},
	} {
		if _, err := inventory.NewLines(items); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%s: error %v, want %v", name, err, event.ErrInvalid)
		}
	}
}

func TestUnknownActionIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := open(1).Apply(inventory.Command{SaleID: 42}); err == nil {
		t.Error("a command without an action was applied")
	}
}

func newReservation(quantity int64) inventory.Reservation {
	return inventory.Reservation{SaleID: 42, CustomerID: 5, Status: inventory.ReservationReserved,
		Lines: []inventory.Line{{ProductID: 1, Quantity: quantity}}}
}

func TestReserveReservesAllItemsAtTheirPrices(t *testing.T) {
	t.Parallel()
	u := open(10)
	got := reserve(t, u, event.Item{ProductID: 1, Quantity: 2}, event.Item{ProductID: 1, Quantity: 3})
	want := event.SaleItemsReservedResponse{SaleID: 42, CustomerID: 5,
		ItemsReserved: []event.PricedItem{{ProductID: 1, Quantity: 5, Price: price("19.99")}}}
	if diff := cmp.Diff(event.Data(want), got); diff != "" {
		t.Errorf("published event (-want +got):\n%s", diff)
	}
	c := u.Changes()
	if diff := cmp.Diff([]inventory.Stock{{ProductID: 1, Available: 5, ReservedSales: 5, UpdatedAt: now}}, c.Stocks); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
	if len(c.Inserted) != 1 || len(c.Updated) != 0 || c.Inserted[0].Status != inventory.ReservationReserved {
		t.Errorf("reservations inserted %v, updated %v; want one inserted, which is Reserved", c.Inserted, c.Updated)
	}
}

func TestReserveIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		items []event.Item
		want  event.SaleCreationFailed
	}{
		"too many": {
			[]event.Item{{ProductID: 1, Quantity: 11}},
			event.SaleCreationFailed{Reason: event.ReasonInsufficientStock,
				Shortages: []event.Shortage{{ProductID: 1, Requested: 11, Available: 10}}}},
		"too many in two lines": {
			[]event.Item{{ProductID: 1, Quantity: 6}, {ProductID: 1, Quantity: 6}},
			event.SaleCreationFailed{Reason: event.ReasonInsufficientStock,
				Shortages: []event.Shortage{{ProductID: 1, Requested: 12, Available: 10}}}},
		"unknown product": {
			[]event.Item{{ProductID: 1, Quantity: 1}, {ProductID: 9, Quantity: 1}},
			event.SaleCreationFailed{Reason: event.ReasonUnknownProduct,
				Shortages: []event.Shortage{{ProductID: 9, Requested: 1}}}},
		"deleted product": {
			[]event.Item{{ProductID: 2, Quantity: 1}},
			event.SaleCreationFailed{Reason: event.ReasonUnknownProduct,
				Shortages: []event.Shortage{{ProductID: 2, Requested: 1}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := open(10)
			c.want.SaleID, c.want.CustomerID = 42, 5
			if diff := cmp.Diff(event.Data(c.want), reserve(t, u, c.items...)); diff != "" {
				t.Errorf("published event (-want +got):\n%s", diff)
			}
			if got := u.Changes(); len(got.Stocks)+len(got.Movements) != 0 {
				t.Errorf("a rejected sale moved goods: %v %v", got.Stocks, got.Movements)
			}
		})
	}
}

func TestCancelBeforeCreateReservesNothing(t *testing.T) {
	t.Parallel()
	u := open(10)
	published, err := u.Release(42)
	if diff := cmp.Diff(event.Data(event.StockCanceled{SaleID: 42, Items: []event.Item{}}), published); diff != "" || err != nil {
		t.Errorf("event for the cancellation, error %v (-want +got):\n%s", err, diff)
	}
	if published := reserve(t, u, event.Item{ProductID: 1, Quantity: 1}); published != nil {
		t.Errorf("a canceled sale reserved: %v", published)
	}
	if c := u.Changes(); len(c.Stocks) != 0 {
		t.Errorf("stock changed: %v", c.Stocks)
	}
}

func TestGoodsOfConfirmedSaleAreRemovedOnce(t *testing.T) {
	t.Parallel()
	u := inventory.Begin(now, []inventory.Stock{{ProductID: 1, Available: 4, ReservedSales: 6}}, nil, []inventory.Reservation{newReservation(6)})
	want := event.StockReleased{SaleID: 42, Items: []event.Item{{ProductID: 1, Quantity: 6}}, ReleasedAt: now}
	published, err := u.Remove(42)
	if diff := cmp.Diff(event.Data(want), published); diff != "" || err != nil {
		t.Errorf("published event, error %v (-want +got):\n%s", err, diff)
	}
	if again, err := u.Remove(42); again != nil || err != nil {
		t.Errorf("second removal: got %v, %v, want nothing", again, err)
	}
	if diff := cmp.Diff([]inventory.Stock{{ProductID: 1, Available: 4, Removed: 6, UpdatedAt: now}}, u.Changes().Stocks); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
}

func TestViolatedInvariantsAreErrors(t *testing.T) {
	t.Parallel()
	rejected, removed := newReservation(1), newReservation(1)
	rejected.Status, removed.Status = inventory.ReservationRejected, inventory.ReservationRemoved
	if _, err := open(1).Remove(42); err == nil {
		t.Error("a sale without a reservation was removed")
	}
	if _, err := open(1, rejected).Remove(42); err == nil {
		t.Error("a rejected sale was removed")
	}
	if _, err := open(1, removed).Release(42); err == nil {
		t.Error("removed goods were released")
	}
}

func TestManagersCannotMoveReservationsOfSales(t *testing.T) {
	t.Parallel()
	for _, kind := range []inventory.Kind{inventory.Released, inventory.Removed} {
		u := inventory.Begin(now, []inventory.Stock{{ProductID: 1, ReservedSales: 6, ReservedManual: 2}}, nil, nil)
		_, err := u.MoveManual(kind, 1, 3, 9)
		if f, ok := errors.AsType[*failure.Error](err); !ok || f.Code != "insufficient_reserved" {
			t.Errorf("%s of 3 where 2 are reserved manually and 6 for sales: got %v, want insufficient_reserved", kind, err)
		}
	}
}

func TestManagersMoveAtMostTheAvailableQuantity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind  inventory.Kind
		stock inventory.Stock
		want  inventory.Stock
	}{
		{inventory.Reserved, inventory.Stock{ProductID: 1, Available: 5}, inventory.Stock{ProductID: 1, ReservedManual: 5}},
		{inventory.Released, inventory.Stock{ProductID: 1, ReservedManual: 5}, inventory.Stock{ProductID: 1, Available: 5}},
		{inventory.Removed, inventory.Stock{ProductID: 1, ReservedManual: 5}, inventory.Stock{ProductID: 1, Removed: 5}},
	} {
		u := inventory.Begin(now, []inventory.Stock{c.stock}, nil, nil)
		if _, err := u.MoveManual(c.kind, 1, 6, 9); err == nil {
			t.Errorf("6 of 5 were %s", c.kind)
		}
		got, err := u.MoveManual(c.kind, 1, 5, 9)
		c.want.UpdatedAt = now
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("5 of 5 are %s, error %v (-want +got):\n%s", c.kind, err, diff)
		}
	}
}

// TestAnySequencePreservesInvariants applies random events and movements, in any order
// and repeated, in units of work of random size, and checks after each step that every
// quantity follows from the ledger, and that each event was published once for a sale.
func TestAnySequencePreservesInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.step(t)
			w.check(t)
		}
	})
}

// world holds the contents of the tables.
type world struct {
	stocks       map[int64]inventory.Stock
	reservations map[int64]inventory.Reservation
	sums         map[int64]inventory.Sums
	published    map[publication]int
}

// publication is an event that stock publishes once for a sale.
type publication struct {
	eventType, sale string
}

func newWorld() *world {
	w := &world{stocks: map[int64]inventory.Stock{}, reservations: map[int64]inventory.Reservation{},
		sums: map[int64]inventory.Sums{}, published: map[publication]int{}}
	for id := range int64(3) {
		w.stocks[id] = inventory.Stock{ProductID: id}
		w.sums[id] = inventory.Sums{ProductID: id}
	}
	return w
}

// step makes one to four changes in a UnitOfWork and stores them.
func (w *world) step(t *rapid.T) {
	var stocks []inventory.Stock
	var reservations []inventory.Reservation
	offers := map[int64]inventory.Offer{}
	for id, s := range w.stocks {
		stocks = append(stocks, s)
		offers[id] = inventory.Offer{InCatalog: true}
	}
	for _, r := range w.reservations {
		reservations = append(reservations, r)
	}
	u := inventory.Begin(now, stocks, offers, reservations)
	for range rapid.IntRange(1, 4).Draw(t, "batch") {
		w.act(t, u)
	}
	c := u.Changes()
	for _, s := range c.Stocks {
		w.stocks[s.ProductID] = s
	}
	for _, r := range append(c.Inserted, c.Updated...) {
		w.reservations[r.SaleID] = r
	}
	for _, m := range c.Movements {
		s := w.sums[m.ProductID]
		s.Add(m)
		w.sums[m.ProductID] = s
	}
}

func (w *world) act(t *rapid.T, u *inventory.UnitOfWork) {
	product := rapid.Int64Range(0, 2).Draw(t, "product")
	quantity := rapid.Int64Range(1, 9).Draw(t, "quantity")
	saleID := rapid.Int64Range(1, 6).Draw(t, "sale")
	switch what := rapid.SampledFrom([]string{"create", "create", "confirm", "cancel", "received", "reserved", "released", "removed"}).Draw(t, "what"); what {
	case "create":
		w.publish(u.Reserve(saleID, 5, []inventory.Line{{ProductID: product, Quantity: quantity}, {ProductID: (product + 1) % 3, Quantity: 1}}), nil)
	case "confirm":
		w.publish(u.Remove(saleID)) // It fails unless the goods are reserved.
	case "cancel":
		w.publish(u.Release(saleID)) // It fails after the goods were removed.
	default:
		_, _ = u.MoveManual(inventory.Kind(what), product, quantity, 1) // It fails when the quantity is too large.
	}
}

// publish counts an event, unless it is nil.
func (w *world) publish(published event.Data, err error) {
	if err == nil && published != nil {
		w.published[publication{published.EventType(), published.Key()}]++
	}
}

func (w *world) check(t *rapid.T) {
	reserved := map[int64]int64{}
	for _, r := range w.reservations {
		for _, l := range r.Lines {
			if r.Status == inventory.ReservationReserved {
				reserved[l.ProductID] += l.Quantity
			}
		}
	}
	for id, s := range w.stocks {
		if v := inventory.Audit(s, w.sums[id]); len(v) > 0 {
			t.Fatalf("product %d: %v", id, v)
		}
		if s.ReservedSales != reserved[id] {
			t.Fatalf("product %d: %d are reserved for sales, reservations hold %d", id, s.ReservedSales, reserved[id])
		}
		if s.Received() != w.sums[id].Received {
			t.Fatalf("product %d: available, reserved and removed sum to %d, received were %d", id, s.Received(), w.sums[id].Received)
		}
	}
	for p, n := range w.published {
		if n > 1 {
			t.Fatalf("%s of sale %s was published %d times", p.eventType, p.sale, n)
		}
	}
}

func TestAuditReportsViolations(t *testing.T) {
	t.Parallel()
	sums := inventory.Sums{ProductID: 1, Received: 10, ReservedSales: 3}
	if v := inventory.Audit(inventory.Stock{ProductID: 1, Available: 7, ReservedSales: 3}, sums); len(v) != 0 {
		t.Errorf("violations in consistent rows: %v", v)
	}
	if v := inventory.Audit(inventory.Stock{ProductID: 1, Available: 8, ReservedSales: 3}, sums); len(v) != 1 {
		t.Errorf("available is too large by one: got %v, want one violation", v)
	}
	if v := inventory.Audit(inventory.Stock{ProductID: 1, Available: -1, ReservedSales: 3}, sums); len(v) != 2 {
		t.Errorf("below zero: got %v, want two violations", v)
	}
}
