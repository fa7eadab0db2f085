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

// open makes a book over two products, the second of which has left the catalogue.
func open(available int64, reservations ...inventory.Reservation) *inventory.Book {
	return inventory.Open(now,
		[]inventory.Stock{{ProductID: 1, Available: available}, {ProductID: 2, Available: available}},
		map[int64]inventory.Offer{1: {Price: price("19.99"), OnSale: true}, 2: {Price: price("5"), OnSale: false}},
		reservations)
}

func sale(items ...event.Item) event.SaleCreated {
	return event.SaleCreated{SaleID: 42, CustomerID: 5, Items: items}
}

func held(quantity int64) inventory.Reservation {
	return inventory.Reservation{SaleID: 42, CustomerID: 5, Status: inventory.StatusHeld,
		Lines: []inventory.Line{{ProductID: 1, Quantity: quantity}}}
}

func TestReserveHoldsAllItemsAtTheirPrices(t *testing.T) {
	t.Parallel()
	b := open(10)
	got := b.Reserve(sale(event.Item{ProductID: 1, Quantity: 2}, event.Item{ProductID: 1, Quantity: 3}))
	want := event.SaleItemsReservedResponse{SaleID: 42, CustomerID: 5,
		ItemsReserved: []event.PricedItem{{ProductID: 1, Quantity: 5, Price: price("19.99")}}}
	if diff := cmp.Diff(event.Data(want), got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	c := b.Close()
	if diff := cmp.Diff([]inventory.Stock{{ProductID: 1, Available: 5, ForSales: 5, UpdatedAt: now}}, c.Stocks); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
	if len(c.Made) != 1 || len(c.Moved) != 0 || c.Made[0].Status != inventory.StatusHeld {
		t.Errorf("reservations made %v, moved %v; want one made, and held", c.Made, c.Moved)
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
		"product that left the catalogue": {
			[]event.Item{{ProductID: 2, Quantity: 1}},
			event.SaleCreationFailed{Reason: event.ReasonUnknownProduct,
				Shortages: []event.Shortage{{ProductID: 2, Requested: 1}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(10)
			c.want.SaleID, c.want.CustomerID = 42, 5
			if diff := cmp.Diff(event.Data(c.want), b.Reserve(sale(c.items...))); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if got := b.Close(); len(got.Stocks)+len(got.Movements) != 0 {
				t.Errorf("a refused sale moved goods: %v %v", got.Stocks, got.Movements)
			}
		})
	}
}

func TestCancelBeforeCreateReservesNothing(t *testing.T) {
	t.Parallel()
	b := open(10)
	answer, err := b.Return(event.SaleCanceled{SaleID: 42})
	if diff := cmp.Diff(event.Data(event.StockCanceled{SaleID: 42, Items: []event.Item{}}), answer); diff != "" || err != nil {
		t.Errorf("answer to the cancellation, error %v (-want +got):\n%s", err, diff)
	}
	if answer := b.Reserve(sale(event.Item{ProductID: 1, Quantity: 1})); answer != nil {
		t.Errorf("a canceled sale reserved: %v", answer)
	}
	if c := b.Close(); len(c.Stocks) != 0 {
		t.Errorf("stock changed: %v", c.Stocks)
	}
}

func TestGoodsOfAConfirmedSaleLeaveOnce(t *testing.T) {
	t.Parallel()
	b := inventory.Open(now, []inventory.Stock{{ProductID: 1, Available: 4, ForSales: 6}}, nil, []inventory.Reservation{held(6)})
	want := event.StockReleased{SaleID: 42, Items: []event.Item{{ProductID: 1, Quantity: 6}}, ReleasedAt: now}
	answer, err := b.Remove(event.SaleConfirmed{SaleID: 42})
	if diff := cmp.Diff(event.Data(want), answer); diff != "" || err != nil {
		t.Errorf("answer, error %v (-want +got):\n%s", err, diff)
	}
	if again, err := b.Remove(event.SaleConfirmed{SaleID: 42}); again != nil || err != nil {
		t.Errorf("second removal: got %v, %v, want nothing", again, err)
	}
	if diff := cmp.Diff([]inventory.Stock{{ProductID: 1, Available: 4, Removed: 6, UpdatedAt: now}}, b.Close().Stocks); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
}

func TestWhatInvariantsExcludeIsAnError(t *testing.T) {
	t.Parallel()
	rejected, gone := held(1), held(1)
	rejected.Status, gone.Status = inventory.StatusDenied, inventory.StatusGone
	if _, err := open(1).Remove(event.SaleConfirmed{SaleID: 42}); err == nil {
		t.Error("a sale without a reservation was removed")
	}
	if _, err := open(1, rejected).Remove(event.SaleConfirmed{SaleID: 42}); err == nil {
		t.Error("a rejected sale was removed")
	}
	if _, err := open(1, gone).Return(event.SaleCanceled{SaleID: 42}); err == nil {
		t.Error("goods that left were returned")
	}
}

func TestAManagerCannotTakeWhatSalesHold(t *testing.T) {
	t.Parallel()
	for _, kind := range []inventory.Kind{inventory.Released, inventory.Removed} {
		b := inventory.Open(now, []inventory.Stock{{ProductID: 1, ForSales: 6, ByHand: 2}}, nil, nil)
		_, err := b.ByHand(kind, 1, 3, 9)
		if f, ok := errors.AsType[*failure.Error](err); !ok || f.Code != "insufficient_reserved" {
			t.Errorf("%s of 3 where 2 are held by hand and 6 by sales: got %v, want insufficient_reserved", kind, err)
		}
	}
}

// TestAnySequenceKeepsTheInvariants plays random events and movements, in any order
// and repeated, against books that are opened and closed at random, and checks after
// each step that the ledger explains every quantity.
func TestAnySequenceKeepsTheInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.step(t)
			w.check(t)
		}
	})
}

// world is the tables, as the store would keep them.
type world struct {
	stocks       map[int64]inventory.Stock
	reservations map[int64]inventory.Reservation
	sums         map[int64]inventory.Sums
	removed      map[int64]int // how often each sale's goods left
}

func newWorld() *world {
	w := &world{stocks: map[int64]inventory.Stock{}, reservations: map[int64]inventory.Reservation{},
		sums: map[int64]inventory.Sums{}, removed: map[int64]int{}}
	for id := range int64(3) {
		w.stocks[id] = inventory.Stock{ProductID: id}
		w.sums[id] = inventory.Sums{ProductID: id}
	}
	return w
}

// step opens a book, does one to four things in it, and writes its changes back.
func (w *world) step(t *rapid.T) {
	var stocks []inventory.Stock
	var reservations []inventory.Reservation
	offers := map[int64]inventory.Offer{}
	for id, s := range w.stocks {
		stocks = append(stocks, s)
		offers[id] = inventory.Offer{OnSale: true}
	}
	for _, r := range w.reservations {
		reservations = append(reservations, r)
	}
	b := inventory.Open(now, stocks, offers, reservations)
	for range rapid.IntRange(1, 4).Draw(t, "batch") {
		w.act(t, b)
	}
	c := b.Close()
	for _, s := range c.Stocks {
		w.stocks[s.ProductID] = s
	}
	for _, r := range append(c.Made, c.Moved...) {
		w.reservations[r.SaleID] = r
	}
	for _, m := range c.Movements {
		s := w.sums[m.ProductID]
		s.Add(m)
		w.sums[m.ProductID] = s
	}
}

func (w *world) act(t *rapid.T, b *inventory.Book) {
	product := rapid.Int64Range(0, 2).Draw(t, "product")
	quantity := rapid.Int64Range(1, 9).Draw(t, "quantity")
	saleID := rapid.Int64Range(1, 6).Draw(t, "sale")
	switch what := rapid.SampledFrom([]string{"create", "create", "confirm", "cancel", "received", "reserved", "released", "removed"}).Draw(t, "what"); what {
	case "create":
		b.Reserve(event.SaleCreated{SaleID: saleID, Items: []event.Item{
			{ProductID: product, Quantity: quantity}, {ProductID: (product + 1) % 3, Quantity: 1}}})
	case "confirm":
		if answer, err := b.Remove(event.SaleConfirmed{SaleID: saleID}); err == nil && answer != nil {
			w.removed[saleID]++
		}
	case "cancel":
		_, _ = b.Return(event.SaleCanceled{SaleID: saleID}) // Refused once the goods have left.
	default:
		_, _ = b.ByHand(inventory.Kind(what), product, quantity, 1) // Refused when there is too little.
	}
}

func (w *world) check(t *rapid.T) {
	held := map[int64]int64{}
	for _, r := range w.reservations {
		for _, l := range r.Lines {
			if r.Status == inventory.StatusHeld {
				held[l.ProductID] += l.Quantity
			}
		}
	}
	for id, s := range w.stocks {
		if v := inventory.Audit(s, w.sums[id]); len(v) > 0 {
			t.Fatalf("product %d: %v", id, v)
		}
		if s.ForSales != held[id] {
			t.Fatalf("product %d: %d are reserved for sales, reservations hold %d", id, s.ForSales, held[id])
		}
		if s.Received() != w.sums[id].Received {
			t.Fatalf("product %d: available, reserved and removed sum to %d, received were %d", id, s.Received(), w.sums[id].Received)
		}
	}
	for id, n := range w.removed {
		if n > 1 {
			t.Fatalf("the goods of sale %d left %d times", id, n)
		}
	}
}

func TestAuditFindsWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	sums := inventory.Sums{ProductID: 1, Received: 10, ReservedForSales: 3}
	if v := inventory.Audit(inventory.Stock{ProductID: 1, Available: 7, ForSales: 3}, sums); len(v) != 0 {
		t.Errorf("violations in sound rows: %v", v)
	}
	if v := inventory.Audit(inventory.Stock{ProductID: 1, Available: 8, ForSales: 3}, sums); len(v) != 1 {
		t.Errorf("one piece too many available: got %v, want one violation", v)
	}
	if v := inventory.Audit(inventory.Stock{ProductID: 1, Available: -1, ForSales: 3}, sums); len(v) != 2 {
		t.Errorf("below zero: got %v, want two violations", v)
	}
}
