package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/event"
)

// Offer is what the catalogue says of a product.
type Offer struct {
	Price  decimal.Decimal
	OnSale bool // false once the product has left the catalogue
}

// Book is the part of the inventory that a transaction has locked. It is not safe
// for concurrent use.
type Book struct {
	now          time.Time
	stocks       map[int64]*Stock
	offers       map[int64]Offer
	reservations map[int64]*Reservation
	onFile       map[int64]bool // the reservations that have a row

	changedStocks       map[int64]bool
	changedReservations map[int64]bool
	movements           []Movement
}

// Open opens a book over the rows of all products and sales that will be asked
// about. A product without a row is unknown, a sale without one has no reservation.
func Open(now time.Time, stocks []Stock, offers map[int64]Offer, reservations []Reservation) *Book {
	b := &Book{
		now: now, stocks: make(map[int64]*Stock, len(stocks)), offers: offers,
		reservations: make(map[int64]*Reservation, len(reservations)), onFile: make(map[int64]bool, len(reservations)),
		changedStocks: map[int64]bool{}, changedReservations: map[int64]bool{},
	}
	for _, s := range stocks {
		b.stocks[s.ProductID] = &s
	}
	for _, r := range reservations {
		b.reservations[r.SaleID] = &r
		b.onFile[r.SaleID] = true
	}
	return b
}

// Changes of a book, in the order of their keys; movements in the order they were
// made.
type Changes struct {
	Stocks []Stock
	// Made reservations had no row when the book was opened, Moved ones had.
	Made, Moved []Reservation
	Movements   []Movement
}

// Close returns what changed since Open.
func (b *Book) Close() Changes {
	c := Changes{Movements: b.movements}
	for id := range b.changedStocks {
		c.Stocks = append(c.Stocks, *b.stocks[id])
	}
	for id := range b.changedReservations {
		if b.onFile[id] {
			c.Moved = append(c.Moved, *b.reservations[id])
		} else {
			c.Made = append(c.Made, *b.reservations[id])
		}
	}
	slices.SortFunc(c.Stocks, func(x, y Stock) int { return cmp.Compare(x.ProductID, y.ProductID) })
	bySale := func(x, y Reservation) int { return cmp.Compare(x.SaleID, y.SaleID) }
	slices.SortFunc(c.Made, bySale)
	slices.SortFunc(c.Moved, bySale)
	return c
}

// Reserve holds all items of a new sale, or none, and answers. It returns nil for a
// sale that was decided before: also for one whose cancellation came first.
func (b *Book) Reserve(sale event.SaleCreated) event.Data {
	if b.reservations[sale.SaleID] != nil {
		return nil
	}
	lines := linesOf(sale.Items)
	shortages, reason := b.shortages(lines)
	if len(shortages) > 0 {
		b.decide(Reservation{SaleID: sale.SaleID, CustomerID: sale.CustomerID, Status: StatusDenied, Lines: lines})
		return event.SaleCreationFailed{SaleID: sale.SaleID, CustomerID: sale.CustomerID, Reason: reason, Shortages: shortages}
	}
	priced := make([]event.PricedItem, len(lines))
	for i, l := range lines {
		s := b.stocks[l.ProductID]
		s.Available -= l.Quantity
		s.ForSales += l.Quantity
		b.move(s, Reserved, l.Quantity, sale.SaleID, 0)
		priced[i] = event.PricedItem{ProductID: l.ProductID, Quantity: l.Quantity, Price: b.offers[l.ProductID].Price}
	}
	b.decide(Reservation{SaleID: sale.SaleID, CustomerID: sale.CustomerID, Status: StatusHeld, Lines: lines})
	return event.SaleItemsReservedResponse{SaleID: sale.SaleID, CustomerID: sale.CustomerID, ItemsReserved: priced}
}

// shortages of a sale, and the graver reason for them.
func (b *Book) shortages(lines []Line) ([]event.Shortage, string) {
	var short []event.Shortage
	reason := event.ReasonInsufficientStock
	for _, l := range lines {
		s := b.stocks[l.ProductID]
		switch {
		case s == nil || !b.offers[l.ProductID].OnSale:
			reason = event.ReasonUnknownProduct
			short = append(short, event.Shortage{ProductID: l.ProductID, Requested: l.Quantity})
		case s.Available < l.Quantity:
			short = append(short, event.Shortage{ProductID: l.ProductID, Requested: l.Quantity, Available: s.Available})
		}
	}
	return short, reason
}

// Remove lets the goods of a confirmed sale leave. It returns nil when they left
// before. An error says that the sale holds nothing, which is not possible while
// the invariants hold.
func (b *Book) Remove(sale event.SaleConfirmed) (event.Data, error) {
	r := b.reservations[sale.SaleID]
	switch {
	case r == nil:
		return nil, fmt.Errorf("sale %d is confirmed, but has no reservation", sale.SaleID)
	case r.Status == StatusGone:
		return nil, nil
	case r.Status != StatusHeld:
		return nil, fmt.Errorf("sale %d is confirmed, but its reservation is %s", sale.SaleID, r.Status)
	}
	for _, l := range r.Lines {
		s := b.stocks[l.ProductID]
		s.ForSales -= l.Quantity
		s.Removed += l.Quantity
		b.move(s, Removed, l.Quantity, sale.SaleID, 0)
	}
	r.Status = StatusGone
	b.decide(*r)
	return event.StockReleased{SaleID: sale.SaleID, Items: itemsOf(r.Lines), ReleasedAt: b.now}, nil
}

// Return gives back what a canceled sale holds. A sale that is not known yet gets a
// tombstone, so that its SaleCreated, still on the way, reserves nothing.
func (b *Book) Return(sale event.SaleCanceled) (event.Data, error) {
	r := b.reservations[sale.SaleID]
	switch {
	case r == nil:
		b.decide(Reservation{SaleID: sale.SaleID, Status: StatusBack, Lines: []Line{}})
		return event.StockCanceled{SaleID: sale.SaleID, Items: []event.Item{}}, nil
	case r.Status == StatusBack:
		return nil, nil
	case r.Status == StatusDenied:
		return event.StockCanceled{SaleID: sale.SaleID, Items: []event.Item{}}, nil
	case r.Status == StatusGone:
		return nil, fmt.Errorf("sale %d is canceled, but its goods have left", sale.SaleID)
	}
	for _, l := range r.Lines {
		s := b.stocks[l.ProductID]
		s.ForSales -= l.Quantity
		s.Available += l.Quantity
		b.move(s, Released, l.Quantity, sale.SaleID, 0)
	}
	r.Status = StatusBack
	b.decide(*r)
	return event.StockCanceled{SaleID: sale.SaleID, Items: itemsOf(r.Lines)}, nil
}

// ByHand makes one movement of a manager.
func (b *Book) ByHand(kind Kind, productID, quantity, actorID int64) (Stock, error) {
	s := b.stocks[productID]
	if s == nil {
		return Stock{}, ErrUnknownProduct
	}
	switch kind {
	case Received:
		s.Available += quantity
	case Reserved:
		if s.Available < quantity {
			return Stock{}, ErrInsufficientStock.With("available", s.Available)
		}
		s.Available -= quantity
		s.ByHand += quantity
	case Released, Removed:
		if s.ByHand < quantity {
			return Stock{}, ErrInsufficientReserved.With("reserved", s.ByHand)
		}
		s.ByHand -= quantity
		if kind == Released {
			s.Available += quantity
		} else {
			s.Removed += quantity
		}
	}
	b.move(s, kind, quantity, 0, actorID)
	return *s, nil
}

func (b *Book) move(s *Stock, kind Kind, quantity, saleID, actorID int64) {
	s.UpdatedAt = b.now
	b.changedStocks[s.ProductID] = true
	b.movements = append(b.movements, Movement{
		ProductID: s.ProductID, Kind: kind, Quantity: quantity, SaleID: saleID, ActorID: actorID, At: b.now,
	})
}

func (b *Book) decide(r Reservation) {
	r.At = b.now
	b.reservations[r.SaleID] = &r
	b.changedReservations[r.SaleID] = true
}

// linesOf adds up the items of one product, in the order of products.
func linesOf(items []event.Item) []Line {
	wanted := make(map[int64]int64, len(items))
	for _, i := range items {
		wanted[i.ProductID] += i.Quantity
	}
	lines := make([]Line, 0, len(wanted))
	for id, quantity := range wanted {
		lines = append(lines, Line{ProductID: id, Quantity: quantity})
	}
	slices.SortFunc(lines, func(x, y Line) int { return cmp.Compare(x.ProductID, y.ProductID) })
	return lines
}

func itemsOf(lines []Line) []event.Item {
	items := make([]event.Item, len(lines))
	for i, l := range lines {
		items[i] = event.Item(l)
	}
	return items
}
