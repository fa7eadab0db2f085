package sale

import (
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
// the sale is decided or the event was redelivered, does not.
func (s *Sale) Apply(received event.Data, now time.Time) (published event.Data, applied bool) {
	switch e := received.(type) {
	case event.SaleItemsReservedResponse:
		confirmed, changed := s.ApplyReserved(e, now)
		if confirmed == nil {
			return nil, changed
		}
		return *confirmed, changed
	case event.SaleCreationFailed:
		return nil, s.ApplyRejected(e, now)
	case event.StockReleased:
		s.AwaitsStock = s.AwaitsStock && s.Status != Confirmed
	case event.StockCanceled:
		s.AwaitsStock = s.AwaitsStock && s.Status != Canceled
	}
	return nil, true
}
