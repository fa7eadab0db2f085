package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/event"
)

// Offer is what the catalog holds about a product.
type Offer struct {
	Price     decimal.Decimal
	InCatalog bool // false for a deleted product
}

// UnitOfWork is the part of the inventory that a transaction has locked. It is not safe for
// concurrent use.
type UnitOfWork struct {
	now          time.Time
	stocks       map[int64]*Stock
	offers       map[int64]Offer
	reservations map[int64]*Reservation
	existing     map[int64]bool // reservations that have a row

	changedStocks       map[int64]bool
	changedReservations map[int64]bool
	movements           []Movement
}

// Begin returns a UnitOfWork with the rows of all products and sales that it will use. A
// product without a row is unknown. A sale without a row has no reservation.
func Begin(now time.Time, stocks []Stock, offers map[int64]Offer, reservations []Reservation) *UnitOfWork {
	u := &UnitOfWork{
		now: now, stocks: make(map[int64]*Stock, len(stocks)), offers: offers,
		reservations: make(map[int64]*Reservation, len(reservations)), existing: make(map[int64]bool, len(reservations)),
		changedStocks: map[int64]bool{}, changedReservations: map[int64]bool{},
	}
	for _, s := range stocks {
		u.stocks[s.ProductID] = &s
	}
	for _, r := range reservations {
		u.reservations[r.SaleID] = &r
		u.existing[r.SaleID] = true
	}
	return u
}

// Changes are the changes of a UnitOfWork. Stocks and reservations are ordered by their
// keys, movements by time.
type Changes struct {
	Stocks []Stock
	// Inserted reservations had no row when the UnitOfWork began, Updated ones had.
	Inserted, Updated []Reservation
	Movements         []Movement
}

// Changes returns what changed since Begin.
func (u *UnitOfWork) Changes() Changes {
	c := Changes{Movements: u.movements}
	for id := range u.changedStocks {
		c.Stocks = append(c.Stocks, *u.stocks[id])
	}
	for id := range u.changedReservations {
		if u.existing[id] {
			c.Updated = append(c.Updated, *u.reservations[id])
		} else {
			c.Inserted = append(c.Inserted, *u.reservations[id])
		}
	}
	slices.SortFunc(c.Stocks, func(x, y Stock) int { return cmp.Compare(x.ProductID, y.ProductID) })
	bySale := func(x, y Reservation) int { return cmp.Compare(x.SaleID, y.SaleID) }
	slices.SortFunc(c.Inserted, bySale)
	slices.SortFunc(c.Updated, bySale)
	return c
}

// Reserve reserves all lines of a sale, or none, and returns the event to publish. It returns
// nil for a sale that has a reservation, also for one that was canceled before.
func (u *UnitOfWork) Reserve(saleID, customerID int64, lines []Line) event.Data {
	if u.reservations[saleID] != nil {
		return nil
	}
	r := Reservation{SaleID: saleID, CustomerID: customerID, Status: ReservationReserved, Lines: lines}
	if !u.price(lines) {
		r.Status = ReservationRejected
		u.setReservation(r)
		return rejected(r)
	}
	for _, l := range lines {
		s := u.stocks[l.ProductID]
		s.Available -= l.Quantity
		s.ReservedSales += l.Quantity
		u.recordMovement(s, Reserved, l.Quantity, saleID, 0)
	}
	u.setReservation(r)
	return u.reserved(r)
}

// price sets the price of each line, or the shortage of one that cannot be reserved. It
// reports whether all can be reserved.
func (u *UnitOfWork) price(lines []Line) bool {
	available := true
	for i, l := range lines {
		s, offer := u.stocks[l.ProductID], u.offers[l.ProductID]
		lines[i].Price, lines[i].Shortage = decimal.NullDecimal{}, nil
		switch {
		case s == nil || !offer.InCatalog:
			lines[i].Shortage = &Shortage{Reason: event.ReasonUnknownProduct}
		case s.Available < l.Quantity:
			lines[i].Shortage = &Shortage{Available: s.Available, Reason: event.ReasonInsufficientStock}
		default:
			lines[i].Price = decimal.NewNullDecimal(offer.Price)
		}
		available = available && lines[i].Shortage == nil
	}
	return available
}

// reserved returns the event for a reservation that is Reserved.
func (u *UnitOfWork) reserved(r Reservation) event.SaleItemsReservedResponse {
	priced := make([]event.PricedItem, len(r.Lines))
	for i, l := range r.Lines {
		price := l.Price.Decimal
		if !l.Price.Valid {
			price = u.offers[l.ProductID].Price
		}
		priced[i] = event.PricedItem{ProductID: l.ProductID, Quantity: l.Quantity, Price: price}
	}
	return event.SaleItemsReservedResponse{SaleID: r.SaleID, CustomerID: r.CustomerID, ItemsReserved: priced}
}

// rejected returns the event for a reservation that is Rejected. An unknown product takes
// precedence over insufficient stock.
func rejected(r Reservation) event.SaleCreationFailed {
	e := event.SaleCreationFailed{SaleID: r.SaleID, CustomerID: r.CustomerID, Reason: event.ReasonInsufficientStock}
	for _, l := range r.Lines {
		if l.Shortage == nil {
			continue
		}
		e.Shortages = append(e.Shortages, event.Shortage{ProductID: l.ProductID, Requested: l.Quantity, Available: l.Shortage.Available})
		if l.Shortage.Reason == event.ReasonUnknownProduct {
			e.Reason = event.ReasonUnknownProduct
		}
	}
	return e
}

// removed returns the event for a reservation that is Removed.
func removed(r Reservation) event.StockReleased {
	return event.StockReleased{SaleID: r.SaleID, Items: itemsOf(r.Lines), ReleasedAt: r.At}
}

// released returns the event for a reservation that is Released. A rejected sale had no goods.
func released(r Reservation) event.StockCanceled {
	if slices.ContainsFunc(r.Lines, func(l Line) bool { return l.Shortage != nil }) {
		return event.StockCanceled{SaleID: r.SaleID, Items: []event.Item{}}
	}
	return event.StockCanceled{SaleID: r.SaleID, Items: itemsOf(r.Lines)}
}

// Remove removes the reserved goods of a confirmed sale and returns the event to publish. It
// returns nil when they were removed before, and an error when the sale has no reservation,
// which violates an invariant.
func (u *UnitOfWork) Remove(saleID int64) (event.Data, error) {
	r := u.reservations[saleID]
	switch {
	case r == nil:
		return nil, fmt.Errorf("sale %d is confirmed, but has no reservation", saleID)
	case r.Status == ReservationRemoved:
		return nil, nil
	case r.Status != ReservationReserved:
		return nil, fmt.Errorf("sale %d is confirmed, but its reservation is %s", saleID, r.Status)
	}
	for _, l := range r.Lines {
		s := u.stocks[l.ProductID]
		s.ReservedSales -= l.Quantity
		s.Removed += l.Quantity
		u.recordMovement(s, Removed, l.Quantity, saleID, 0)
	}
	r.Status = ReservationRemoved
	u.setReservation(*r)
	return removed(*u.reservations[saleID]), nil
}

// Release releases the reservation of a canceled sale and returns the event to publish, or
// nil when it was released before. A rejected reservation is released without goods. For a
// sale without a reservation it inserts a released one, so that a SaleCreated that arrives
// later reserves nothing. It returns an error when the goods were removed, which violates an
// invariant.
func (u *UnitOfWork) Release(saleID int64) (event.Data, error) {
	r := u.reservations[saleID]
	switch {
	case r == nil:
		u.setReservation(Reservation{SaleID: saleID, Status: ReservationReleased, Lines: []Line{}})
		return event.StockCanceled{SaleID: saleID, Items: []event.Item{}}, nil
	case r.Status == ReservationReleased:
		return nil, nil
	case r.Status == ReservationRejected:
		r.Status = ReservationReleased
		u.setReservation(*r)
		return event.StockCanceled{SaleID: saleID, Items: []event.Item{}}, nil
	case r.Status == ReservationRemoved:
		return nil, fmt.Errorf("sale %d is canceled, but its goods were removed", saleID)
	}
	for _, l := range r.Lines {
		s := u.stocks[l.ProductID]
		s.ReservedSales -= l.Quantity
		s.Available += l.Quantity
		u.recordMovement(s, Released, l.Quantity, saleID, 0)
	}
	r.Status = ReservationReleased
	u.setReservation(*r)
	return event.StockCanceled{SaleID: saleID, Items: itemsOf(r.Lines)}, nil
}

// MoveManual makes a movement for a manager and returns the new quantities. It returns
// ErrUnknownProduct, ErrInsufficientStock when fewer goods are available than are to be
// reserved, and ErrInsufficientReserved when fewer are reserved manually than are to be
// released or removed.
func (u *UnitOfWork) MoveManual(kind Kind, productID, quantity, actorID int64) (Stock, error) {
	s := u.stocks[productID]
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
		s.ReservedManual += quantity
	case Released, Removed:
		if s.ReservedManual < quantity {
			return Stock{}, ErrInsufficientReserved.With("reserved", s.ReservedManual)
		}
		s.ReservedManual -= quantity
		if kind == Released {
			s.Available += quantity
		} else {
			s.Removed += quantity
		}
	}
	u.recordMovement(s, kind, quantity, 0, actorID)
	return *s, nil
}

// recordMovement adds a movement of a changed stock to the ledger.
func (u *UnitOfWork) recordMovement(s *Stock, kind Kind, quantity, saleID, actorID int64) {
	s.UpdatedAt = u.now
	u.changedStocks[s.ProductID] = true
	u.movements = append(u.movements, Movement{
		ProductID: s.ProductID, Kind: kind, Quantity: quantity, SaleID: saleID, ActorID: actorID, At: u.now,
	})
}

// setReservation stores a reservation with the time of the UnitOfWork.
func (u *UnitOfWork) setReservation(r Reservation) {
	r.At = u.now
	u.reservations[r.SaleID] = &r
	u.changedReservations[r.SaleID] = true
}

func itemsOf(lines []Line) []event.Item {
	items := make([]event.Item, len(lines))
	for i, l := range lines {
		items[i] = event.Item{ProductID: l.ProductID, Quantity: l.Quantity}
	}
	return items
}
