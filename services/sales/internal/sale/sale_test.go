package sale_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

var now = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func pending(t *testing.T, hold bool) sale.Sale {
	t.Helper()
	s, err := sale.New(5, []sale.Item{{ProductID: 7, Quantity: 1}, {ProductID: 7, Quantity: 1}}, hold, "USD", now, 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s.ID = 42
	return s
}

var reserved = event.SaleItemsReservedResponse{SaleID: 42, CustomerID: 5,
	ItemsReserved: []event.PricedItem{{ProductID: 7, Quantity: 2, Price: decimal.RequireFromString("19.99")}}}

func TestLinesOfOneProductAreMerged(t *testing.T) {
	t.Parallel()
	s := pending(t, false)
	if diff := cmp.Diff([]sale.Item{{ProductID: 7, Quantity: 2}}, s.Items); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if s.ExpiresAt != nil {
		t.Errorf("a sale that is not a hold expires at %s", s.ExpiresAt)
	}
}

func TestSaleLimits(t *testing.T) {
	t.Parallel()
	hundred := make([]sale.Item, 101)
	for i := range hundred {
		hundred[i] = sale.Item{ProductID: int64(i + 1), Quantity: 1}
	}
	for name, lines := range map[string][]sale.Item{
		"no line":             nil,
		"101 lines":           hundred,
		"a sum above 10000":   {{ProductID: 7, Quantity: 10_000}, {ProductID: 7, Quantity: 1}},
		"a quantity of 0":     {{ProductID: 7, Quantity: 0}},
		"a negative quantity": {{ProductID: 7, Quantity: -1}},
	} {
		if _, err := sale.New(5, lines, false, "USD", now, time.Minute); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := sale.New(5, hundred[:100], false, "USD", now, time.Minute); err != nil {
		t.Errorf("100 lines were rejected: %v", err)
	}
	if _, err := sale.New(5, []sale.Item{{ProductID: 7, Quantity: sale.MaxQuantity}}, false, "USD", now, time.Minute); err != nil {
		t.Errorf("a quantity of %d was rejected: %v", sale.MaxQuantity, err)
	}
}

func TestReservedSaleIsConfirmedWithItsPrices(t *testing.T) {
	t.Parallel()
	s := pending(t, false)
	confirmed, changed := s.ApplyReserved(reserved, now)
	if confirmed == nil || !changed || s.Status != sale.Confirmed {
		t.Fatalf("got %v, %v, status %s, want it confirmed", confirmed, changed, s.Status)
	}
	if want := money.MustParse("39.98"); s.Total == nil || !s.Total.Equal(want) {
		t.Errorf("total is %v, want %s", s.Total, want)
	}
}

func TestHoldIsConfirmedByItsCustomer(t *testing.T) {
	t.Parallel()
	s := pending(t, true)
	if want := now.Add(15 * time.Minute); s.ExpiresAt == nil || !s.ExpiresAt.Equal(want) {
		t.Errorf("expires at %v, want %s", s.ExpiresAt, want)
	}
	if _, err := s.Confirm(now); !errors.Is(err, sale.ErrNotReserved) {
		t.Errorf("confirmed before the stock was reserved: error %v, want %v", err, sale.ErrNotReserved)
	}
	if confirmed, changed := s.ApplyReserved(reserved, now); confirmed != nil || !changed || s.Status != sale.Pending {
		t.Fatalf("a hold was confirmed without its customer: %v, %v, %s", confirmed, changed, s.Status)
	}
	// The timer that cancels it may be late.
	if _, err := s.Confirm(now.Add(15 * time.Minute)); !errors.Is(err, sale.ErrExpired) || s.Status != sale.Pending {
		t.Errorf("confirmed when it expires: error %v, want %v", err, sale.ErrExpired)
	}
	if confirmed, err := s.Confirm(now); err != nil || confirmed.SaleID != 42 || s.Status != sale.Confirmed || s.ExpiresAt != nil {
		t.Errorf("got %v, %v, %s, expiry %v, want it confirmed without an expiry", confirmed, err, s.Status, s.ExpiresAt)
	}
}

func TestDecidedSaleDoesNotChange(t *testing.T) {
	t.Parallel()
	for name, decide := range map[string]func(*sale.Sale){
		"confirmed": func(s *sale.Sale) { s.ApplyReserved(reserved, now) },
		"rejected": func(s *sale.Sale) {
			s.ApplyRejected(event.SaleCreationFailed{SaleID: 42, Reason: event.ReasonInsufficientStock}, now)
		},
		"canceled": func(s *sale.Sale) { _, _ = s.Cancel(event.ReasonCustomer, now) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pending(t, false)
			decide(&s)
			before := s
			if _, changed := s.ApplyReserved(reserved, now.Add(time.Second)); changed {
				t.Error("a reservation changed it")
			}
			if s.ApplyRejected(event.SaleCreationFailed{SaleID: 42}, now.Add(time.Second)) {
				t.Error("a rejection changed it")
			}
			if _, err := s.Confirm(now); !errors.Is(err, sale.ErrNotPending) {
				t.Errorf("Confirm: %v, want %v", err, sale.ErrNotPending)
			}
			canceled, err := s.Cancel(event.ReasonExpired, now)
			if canceled != nil || before.Status != sale.Canceled && !errors.Is(err, sale.ErrNotPending) {
				t.Errorf("Cancel: got %v, %v", canceled, err)
			}
			if diff := cmp.Diff(before, s, cmp.Comparer(money.Amount.Equal)); diff != "" {
				t.Errorf("it changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestCancelingTwicePublishesOneEvent(t *testing.T) {
	t.Parallel()
	s := pending(t, true)
	first, err := s.Cancel(event.ReasonCustomer, now)
	if first == nil || err != nil {
		t.Fatalf("first: got %v, %v", first, err)
	}
	if again, err := s.Cancel(event.ReasonCustomer, now); again != nil || err != nil {
		t.Errorf("again: got %v, %v, want nothing", again, err)
	}
}

func TestSaleAwaitsResponseToItsLastCommand(t *testing.T) {
	t.Parallel()
	items := []event.Item{{ProductID: 7, Quantity: 2}}
	s := pending(t, true)
	step := func(what string, apply func(), want event.Data) {
		t.Helper()
		apply()
		if s.AwaitsStock != (want != nil) {
			t.Errorf("%s: the sale awaits stock: %t, want %t", what, s.AwaitsStock, want != nil)
		}
		if want == nil {
			return
		}
		if diff := cmp.Diff(want, s.Repeat()); diff != "" {
			t.Errorf("%s: repeated command (-want +got):\n%s", what, diff)
		}
	}
	step("new", func() {}, event.SaleCreated{SaleID: 42, CustomerID: 5, Items: items, Repeated: true})
	step("reserved hold", func() { _, _, _ = s.Apply(reserved, now) }, nil)
	step("confirmed", func() { _, _ = s.Confirm(now) }, event.SaleConfirmed{SaleID: 42, Items: items, Repeated: true})
	step("response to another command", func() { _, _, _ = s.Apply(event.StockCanceled{SaleID: 42}, now) },
		event.SaleConfirmed{SaleID: 42, Items: items, Repeated: true})
	step("removed", func() { _, _, _ = s.Apply(event.StockReleased{SaleID: 42}, now) }, nil)
	s = pending(t, false)
	step("reserved", func() { _, _, _ = s.Apply(reserved, now) }, event.SaleConfirmed{SaleID: 42, Items: items, Repeated: true})
	s = pending(t, false)
	step("canceled", func() { _, _ = s.Cancel(event.ReasonCustomer, now) },
		event.SaleCanceled{SaleID: 42, Reason: event.ReasonCustomer, Repeated: true})
	step("late reservation", func() { _, _, _ = s.Apply(reserved, now) }, event.SaleCanceled{SaleID: 42, Reason: event.ReasonCustomer, Repeated: true})
	step("released", func() { _, _, _ = s.Apply(event.StockCanceled{SaleID: 42}, now) }, nil)
	s = pending(t, false)
	step("rejected", func() { _, _, _ = s.Apply(event.SaleCreationFailed{SaleID: 42}, now) }, nil)
}

func TestReservationOfOtherLinesIsRejected(t *testing.T) {
	t.Parallel()
	item := func(product, quantity int64) event.PricedItem {
		return event.PricedItem{ProductID: product, Quantity: quantity, Price: decimal.RequireFromString("19.99")}
	}
	for name, items := range map[string][]event.PricedItem{
		"no line":                nil,
		"a line is missing":      {item(7, 2)},
		"a line has less":        {item(7, 2), item(9, 2)},
		"a line is of another":   {item(7, 2), item(8, 3)},
		"a line is not ordered":  {item(7, 2), item(9, 3), item(8, 1)},
		"all lines and one more": {item(7, 2), item(9, 3), item(7, 1)},
	} {
		s, err := sale.New(5, []sale.Item{{ProductID: 7, Quantity: 2}, {ProductID: 9, Quantity: 3}}, false, "USD", now, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		_, applied, err := s.Apply(event.SaleItemsReservedResponse{ItemsReserved: items}, now)
		if applied || !errors.Is(err, event.ErrInvalid) || s.Status != sale.Pending || s.Total != nil {
			t.Errorf("%s: applied %t, error %v, status %s, total %v; want it rejected", name, applied, err, s.Status, s.Total)
		}
		if _, applied, err := s.Apply(event.SaleItemsReservedResponse{ItemsReserved: []event.PricedItem{item(9, 3), item(7, 2)}}, now); !applied || err != nil {
			t.Errorf("the lines of the sale: applied %t, error %v", applied, err)
		}
	}
}
