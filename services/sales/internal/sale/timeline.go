package sale

import (
	"encoding/json"
	"time"

	"ecommerce-stack.dev/services/event"
)

// Entry is an entry in the timeline of a sale: an event that sales has published, or
// received from stock.
type Entry struct {
	ID     int64
	SaleID int64
	Type   string
	Data   json.RawMessage
	At     time.Time
}

// NewEntry returns the entry of an event.
func NewEntry(saleID int64, data event.Data, now time.Time) (Entry, error) {
	raw, err := json.Marshal(data)
	return Entry{SaleID: saleID, Type: data.EventType(), Data: raw, At: now}, err
}

// IsReservation reports whether the event reserves the stock of the sale. Unless the sale is a hold,
// it is decided by the same event.
func (e Entry) IsReservation() bool { return e.Type == event.SaleItemsReservedResponseType }

// IsDecision reports whether the event gives the sale its final status.
func (e Entry) IsDecision() bool {
	switch e.Type {
	case event.SaleConfirmedType, event.SaleCanceledType, event.SaleCreationFailedType:
		return true
	}
	return false
}
