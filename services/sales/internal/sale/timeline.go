package sale

import (
	"encoding/json"
	"time"

	"ecommerce-stack.dev/services/event"
)

// Entry is a step in the timeline of a sale: an event that was said or heard.
type Entry struct {
	ID     int64
	SaleID int64
	Type   string
	Data   json.RawMessage
	At     time.Time
}

// Note makes the entry of an event.
func Note(saleID int64, data event.Data, now time.Time) (Entry, error) {
	raw, err := json.Marshal(data)
	return Entry{SaleID: saleID, Type: data.EventType(), Data: raw, At: now}, err
}

// Decides says whether the entry gives the sale its final status.
func (e Entry) Decides() bool {
	switch e.Type {
	case event.SaleConfirmedType, event.SaleCanceledType, event.SaleCreationFailedType:
		return true
	}
	return false
}
