package sale

import (
	"fmt"
	"time"

	"ecommerce-stack.dev/services/event"
)

// Command is an event of stock that is to be applied to its sale.
type Command struct {
	TraceParent string // of the event
	SaleID      int64
	// Event is a SaleItemsReservedResponse, SaleCreationFailed, StockReleased or StockCanceled.
	Event event.Data
}

// Apply applies an event of stock. It returns the event to publish, or nil, and whether the
// received event belongs in the timeline of the sale. An event that has no effect, because
// the sale is decided or the event was redelivered, does not. The error wraps event.ErrInvalid
// when a reservation is not that of the sale.
func (s *Sale) Apply(received event.Data, now time.Time) (published event.Data, applied bool, err error) {
	switch e := received.(type) {
	case event.SaleItemsReservedResponse:
		if err := s.checkLines(e); err != nil {
			return nil, false, err
		}
		confirmed, changed := s.ApplyReserved(e, now)
		if confirmed == nil {
			return nil, changed, nil
		}
		return *confirmed, changed, nil
	case event.SaleCreationFailed:
		return nil, s.ApplyRejected(e, now), nil
	case event.StockReleased:
		s.AwaitsStock = s.AwaitsStock && s.Status != Confirmed
	case event.StockCanceled:
		s.AwaitsStock = s.AwaitsStock && s.Status != Canceled
	}
	return nil, true, nil
}

// checkLines returns an error unless each line of the sale is reserved with its quantity. A
// line without a price would be free of charge.
func (s *Sale) checkLines(e event.SaleItemsReservedResponse) error {
	reserved := make(map[int64]int64, len(e.ItemsReserved))
	for _, i := range e.ItemsReserved {
		reserved[i.ProductID] += i.Quantity
	}
	for _, i := range s.Items {
		if reserved[i.ProductID] != i.Quantity {
			return fmt.Errorf("%w: sale %d has a quantity of %d of product %d, and %d are reserved",
				event.ErrInvalid, s.ID, i.Quantity, i.ProductID, reserved[i.ProductID])
		}
	}
	if len(reserved) != len(s.Items) {
		return fmt.Errorf("%w: sale %d has %d products, and %d are reserved", event.ErrInvalid, s.ID, len(s.Items), len(reserved))
	}
	return nil
}
