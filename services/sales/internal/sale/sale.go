// Package sale implements the domain of the sales service: a sale, its statuses, and the
// transitions between them. It does not depend on HTTP, SQL or AMQP.
package sale

import (
	"cmp"
	"slices"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/money"
)

// Limits of a sale: the number of lines, and the quantity of one product.
const (
	MaxLines    = 100
	MaxQuantity = 10_000
)

// Status is the status of a sale. Pending is the only one that is not final.
type Status string

// Statuses of a sale.
const (
	Pending      Status = "Pending"
	Confirmed    Status = "Confirmed"
	Canceled     Status = "Canceled"
	Unauthorized Status = "Unauthorized"
)

// Item is a line of a sale. UnitPrice is nil until the stock is reserved.
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
	// Hold reports whether a reserved sale stays Pending until it is confirmed or canceled, or
	// expires.
	Hold bool
	// Reserved reports whether stock has reserved all items.
	Reserved  bool
	Reason    string
	Shortages []event.Shortage
	Items     []Item
	Total     *money.Amount
	Currency  string
	CreatedAt time.Time
	UpdatedAt time.Time
	// ExpiresAt is not nil while a hold is Pending.
	ExpiresAt *time.Time
	// AwaitsStock reports whether stock has not responded to the last command of the sale.
	AwaitsStock bool `json:"-"`
}

// IsDecided reports whether the sale has its final status.
func (s *Sale) IsDecided() bool { return s.Status != Pending }

// Errors of transitions.
var (
	ErrNotFound    = failure.NotFound("sale_not_found", "Sale not found.")
	ErrNotPending  = failure.Conflict("sale_not_pending", "The sale is not pending. Read the sale to see its status.")
	ErrExpired     = failure.Conflict("sale_not_pending", "The hold has expired.")
	ErrNotReserved = failure.Conflict("stock_not_reserved", "The stock of the sale is not reserved yet. Retry later.")
)

// New returns a pending sale. It merges the lines of one product. The error is a
// *failure.Error of kind KindInvalid when there are not 1 to MaxLines lines, or when a
// quantity is not from 1 to MaxQuantity.
func New(customerID int64, lines []Item, hold bool, currency string, now time.Time, holdTTL time.Duration) (Sale, error) {
	items, err := mergeLines(lines)
	s := Sale{
		CustomerID: customerID, Status: Pending, Hold: hold, Items: items, Currency: currency,
		CreatedAt: now, UpdatedAt: now, AwaitsStock: true,
	}
	if hold {
		expiry := now.Add(holdTTL)
		s.ExpiresAt = &expiry
	}
	return s, err
}

// mergeLines returns one item per product, in the order of the products.
func mergeLines(lines []Item) ([]Item, error) {
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
			return nil, failure.Invalid("body.items", "the total quantity of product %d is %d, but must be from 1 to %d",
				id, quantity, MaxQuantity)
		}
		items = append(items, Item{ProductID: id, Quantity: quantity})
	}
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.ProductID, b.ProductID) })
	return items, nil
}

// Created returns the event for a new sale.
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

// Confirm confirms a hold for its customer. It returns ErrNotPending when the sale is
// decided, ErrExpired when the hold has expired, also before Cancel has recorded that, and
// ErrNotReserved until its stock is reserved.
func (s *Sale) Confirm(now time.Time) (event.SaleConfirmed, error) {
	switch {
	case s.IsDecided():
		return event.SaleConfirmed{}, ErrNotPending
	case s.ExpiresAt != nil && !now.Before(*s.ExpiresAt):
		return event.SaleConfirmed{}, ErrExpired
	case !s.Reserved:
		return event.SaleConfirmed{}, ErrNotReserved
	}
	return s.confirm(now), nil
}

func (s *Sale) confirm(now time.Time) event.SaleConfirmed {
	s.decide(Confirmed, "", now)
	return event.SaleConfirmed{SaleID: s.ID, Items: s.lines()}
}

// Cancel cancels a pending sale for event.ReasonCustomer or event.ReasonExpired. It returns
// nil for a sale that is canceled already, and ErrNotPending for one that is otherwise
// decided.
func (s *Sale) Cancel(reason string, now time.Time) (*event.SaleCanceled, error) {
	switch {
	case s.Status == Canceled:
		return nil, nil
	case s.IsDecided():
		return nil, ErrNotPending
	}
	s.decide(Canceled, reason, now)
	return &event.SaleCanceled{SaleID: s.ID, Reason: reason}, nil
}

// ApplyReserved sets the prices, and confirms the sale unless it is a hold. It returns the
// event to publish, or nil, and whether the sale changed. A sale that is decided does not
// change: stock releases its reservation when it receives the cancellation.
func (s *Sale) ApplyReserved(e event.SaleItemsReservedResponse, now time.Time) (*event.SaleConfirmed, bool) {
	if s.IsDecided() || s.Reserved {
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
	s.Total, s.Reserved, s.AwaitsStock, s.UpdatedAt = &total, true, false, now
	if s.Hold {
		return nil, true
	}
	confirmed := s.confirm(now)
	return &confirmed, true
}

// ApplyRejected changes the status of a pending sale to Unauthorized, because stock has
// rejected it. It reports whether the sale changed.
func (s *Sale) ApplyRejected(e event.SaleCreationFailed, now time.Time) bool {
	if s.IsDecided() || s.Reserved {
		return false
	}
	s.Shortages = e.Shortages
	s.decide(Unauthorized, e.Reason, now)
	return true
}

// decide sets the final status. Stock has to respond to Confirmed and Canceled.
func (s *Sale) decide(status Status, reason string, now time.Time) {
	s.Status, s.Reason, s.UpdatedAt, s.ExpiresAt, s.AwaitsStock = status, reason, now, nil, status != Unauthorized
}

// Repeat returns the last command of a sale that awaits stock. Stock responds to it again if
// it has applied it before.
func (s *Sale) Repeat() event.Data {
	switch s.Status {
	case Confirmed:
		return event.SaleConfirmed{SaleID: s.ID, Items: s.lines(), Repeated: true}
	case Canceled:
		return event.SaleCanceled{SaleID: s.ID, Reason: s.Reason, Repeated: true}
	default:
		return event.SaleCreated{SaleID: s.ID, CustomerID: s.CustomerID, Items: s.lines(), Repeated: true}
	}
}
