// Package sale is the sales domain: a sale, its states, and who may move it from
// one to the other. It knows no HTTP, SQL or AMQP.
package sale

import (
	"cmp"
	"slices"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/money"
)

// Limits of a sale.
const (
	MaxLines    = 100
	MaxQuantity = 10_000
)

// Status of a sale. Pending is the only one that a sale leaves.
type Status string

// The states.
const (
	Pending      Status = "Pending"
	Confirmed    Status = "Confirmed"
	Canceled     Status = "Canceled"
	Unauthorized Status = "Unauthorized"
)

// Item is a line of a sale. UnitPrice is set once the stock is reserved.
type Item struct {
	ProductID int64         `json:"productId"`
	Quantity  int64         `json:"quantity"`
	UnitPrice *money.Amount `json:"unitPrice,omitempty"`
}

// Sale is an order of a customer.
type Sale struct {
	ID         int64
	CustomerID int64
	Status     Status
	// Hold keeps a reserved sale Pending until it is confirmed, canceled or
	// expires.
	Hold bool
	// Reserved says that stock holds all items.
	Reserved  bool
	Reason    string
	Shortages []event.Shortage
	Items     []Item
	Total     *money.Amount
	Currency  string
	CreatedAt time.Time
	UpdatedAt time.Time
	// ExpiresAt is set while a held sale is Pending.
	ExpiresAt *time.Time
}

// Decided says that the sale has its final status.
func (s *Sale) Decided() bool { return s.Status != Pending }

// Refusals.
var (
	ErrNotFound    = failure.NotFound("sale_not_found", "There is no such sale of yours.")
	ErrNotPending  = failure.Conflict("sale_not_pending", "The sale is not pending any more.")
	ErrNotReserved = failure.Conflict("stock_not_reserved", "The stock of this sale is not reserved yet.")
)

// New makes a pending sale. Lines of one product are added up; the sum may not
// exceed MaxQuantity.
func New(customerID int64, lines []Item, hold bool, currency string, now time.Time, holdTTL time.Duration) (Sale, error) {
	items, err := addUp(lines)
	s := Sale{
		CustomerID: customerID, Status: Pending, Hold: hold, Items: items, Currency: currency,
		CreatedAt: now, UpdatedAt: now,
	}
	if hold {
		expiry := now.Add(holdTTL)
		s.ExpiresAt = &expiry
	}
	return s, err
}

func addUp(lines []Item) ([]Item, error) {
	if len(lines) < 1 || len(lines) > MaxLines {
		return nil, failure.Invalid("body.items", "must have 1 to %d lines", MaxLines)
	}
	sums := make(map[int64]int64, len(lines))
	for _, l := range lines {
		sums[l.ProductID] += l.Quantity
	}
	items := make([]Item, 0, len(sums))
	for id, quantity := range sums {
		if quantity < 1 || quantity > MaxQuantity {
			return nil, failure.Invalid("body.items", "the lines of product %d add up to %d, which must be from 1 to %d",
				id, quantity, MaxQuantity)
		}
		items = append(items, Item{ProductID: id, Quantity: quantity})
	}
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.ProductID, b.ProductID) })
	return items, nil
}

// Created is what the world hears of a new sale.
func (s *Sale) Created() event.SaleCreated {
	return event.SaleCreated{SaleID: s.ID, CustomerID: s.CustomerID, Items: s.lines()}
}

func (s *Sale) lines() []event.Item {
	items := make([]event.Item, len(s.Items))
	for i, it := range s.Items {
		items[i] = event.Item{ProductID: it.ProductID, Quantity: it.Quantity}
	}
	return items
}

// Confirm is the customer's yes to a held sale.
func (s *Sale) Confirm(now time.Time) (event.SaleConfirmed, error) {
	switch {
	case s.Decided():
		return event.SaleConfirmed{}, ErrNotPending
	case !s.Reserved:
		return event.SaleConfirmed{}, ErrNotReserved
	}
	return s.confirm(now), nil
}

func (s *Sale) confirm(now time.Time) event.SaleConfirmed {
	s.decide(Confirmed, "", now)
	return event.SaleConfirmed{SaleID: s.ID, Items: s.lines()}
}

// Cancel ends a pending sale for event.ReasonCustomer or event.ReasonExpired. A
// canceled sale stays as it is, and nothing is said again.
func (s *Sale) Cancel(reason string, now time.Time) (*event.SaleCanceled, error) {
	switch {
	case s.Status == Canceled:
		return nil, nil
	case s.Decided():
		return nil, ErrNotPending
	}
	s.decide(Canceled, reason, now)
	return &event.SaleCanceled{SaleID: s.ID, Reason: reason}, nil
}

// HearReserved sets the prices, and confirms the sale unless it is held. It returns
// what to say, or nil, and whether anything changed. For a sale that is not pending
// nothing does: its cancellation is on the way to stock.
func (s *Sale) HearReserved(e event.SaleItemsReservedResponse, now time.Time) (*event.SaleConfirmed, bool) {
	if s.Decided() || s.Reserved {
		return nil, false
	}
	prices := make(map[int64]money.Amount, len(e.ItemsReserved))
	for _, i := range e.ItemsReserved {
		prices[i.ProductID] = money.New(i.Price)
	}
	var total money.Amount
	for i := range s.Items {
		price := prices[s.Items[i].ProductID]
		s.Items[i].UnitPrice = &price
		total = total.Add(price.Times(s.Items[i].Quantity))
	}
	s.Total, s.Reserved, s.UpdatedAt = &total, true, now
	if s.Hold {
		return nil, true
	}
	confirmed := s.confirm(now)
	return &confirmed, true
}

// HearFailed marks a pending sale as refused by stock, and says whether it was.
func (s *Sale) HearFailed(e event.SaleCreationFailed, now time.Time) bool {
	if s.Decided() || s.Reserved {
		return false
	}
	s.Shortages = e.Shortages
	s.decide(Unauthorized, e.Reason, now)
	return true
}

func (s *Sale) decide(status Status, reason string, now time.Time) {
	s.Status, s.Reason, s.UpdatedAt, s.ExpiresAt = status, reason, now, nil
}
