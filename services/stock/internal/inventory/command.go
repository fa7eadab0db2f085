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

// Apply applies a command and returns the event to publish, or nil. It returns the errors of
// Remove and Release.
func (u *UnitOfWork) Apply(c Command) (event.Data, error) {
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
