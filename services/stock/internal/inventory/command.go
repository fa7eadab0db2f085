package inventory

import (
	"cmp"
	"fmt"
	"slices"

	"ecommerce-stack.dev/services/event"
)

// Action is what a Command does.
type Action string

// Actions of sales on the inventory.
const (
	ActionReserve Action = "reserve"
	ActionRemove  Action = "remove"
	ActionRelease Action = "release"
)

// Command is an event of sales that is to be applied to the inventory.
type Command struct {
	TraceParent string // of the event
	Action      Action
	SaleID      int64
	// CustomerID and Lines are those of a sale to reserve.
	CustomerID int64
	Lines      []Line
	// Repeated requests the response to a command that was applied before.
	Repeated bool
}

// NewLines returns one line per product, in the order of the products. The error wraps
// event.ErrInvalid when there are no items, or when a quantity is not from 1 to MaxQuantity.
func NewLines(items []event.Item) ([]Line, error) {
	if len(items) == 0 {
		return nil, fmt.Errorf("%w: a sale without items", event.ErrInvalid)
	}
	sums := make(map[int64]int64, len(items))
	for _, i := range items {
		if i.ProductID <= 0 || i.Quantity <= 0 || i.Quantity > MaxQuantity-sums[i.ProductID] {
			return nil, fmt.Errorf("%w: quantity %d of product %d", event.ErrInvalid, i.Quantity, i.ProductID)
		}
		sums[i.ProductID] += i.Quantity
	}
	lines := make([]Line, 0, len(sums))
	for id, quantity := range sums {
		lines = append(lines, Line{ProductID: id, Quantity: quantity})
	}
	slices.SortFunc(lines, func(x, y Line) int { return cmp.Compare(x.ProductID, y.ProductID) })
	return lines, nil
}

// Apply applies a command and returns the event to publish, or nil. For a repeated command
// that was applied before, this is the same event as then. It returns the errors of Remove
// and Release.
func (u *UnitOfWork) Apply(c Command) (event.Data, error) {
	published, err := u.apply(c)
	if err == nil && published == nil && c.Repeated {
		published = u.response(c)
	}
	return published, err
}

func (u *UnitOfWork) apply(c Command) (event.Data, error) {
	switch c.Action {
	case ActionReserve:
		return u.Reserve(c.SaleID, c.CustomerID, c.Lines), nil
	case ActionRemove:
		return u.Remove(c.SaleID)
	case ActionRelease:
		return u.Release(c.SaleID)
	}
	return nil, fmt.Errorf("unknown action %q", c.Action)
}

// response returns the response to a command that was applied before, from the reservation
// of its sale. It returns nil when a later command has changed the reservation: sales does
// not wait for the response to the earlier one.
func (u *UnitOfWork) response(c Command) event.Data {
	r := u.reservations[c.SaleID]
	switch {
	case c.Action == ActionReserve && r.Status == ReservationReserved:
		return u.reserved(*r)
	case c.Action == ActionReserve && r.Status == ReservationRejected:
		return rejected(*r)
	case c.Action == ActionRemove && r.Status == ReservationRemoved:
		return removed(*r)
	case c.Action == ActionRelease && r.Status == ReservationReleased:
		return released(*r)
	}
	return nil
}
