package sale

import (
	"time"

	"ecommerce-stack.dev/services/event"
)

// Heard is an event that was read: the sale it is about, its data, and what it does
// to the sale. Hear returns what to say, or nil, and whether the event belongs in
// the sale's timeline: one that came too late or twice does not.
type Heard struct {
	SaleID int64
	Data   event.Data
	Hear   func(s *Sale, now time.Time) (answer event.Data, noted bool)
}
