package sale

import (
	"time"

	"ecommerce-stack.dev/services/event"
)

// StockEvent is an event that stock has published about a sale.
type StockEvent struct {
	SaleID int64
	Data   event.Data
	// Apply applies the event to its sale. It returns the event to publish, or nil, and
	// whether the received event belongs in the timeline of the sale. An event that has no
	// effect, because the sale is decided or the event was redelivered, does not.
	Apply func(s *Sale, now time.Time) (published event.Data, applied bool)
}
