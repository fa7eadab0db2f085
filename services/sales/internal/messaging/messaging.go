// Package messaging hands what stock answers to the sales: one handler per event, a
// batch in one transaction.
package messaging

import (
	"context"
	"fmt"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Store applies a batch; heard has what each event means, by the event's id.
type Store interface {
	Apply(ctx context.Context, batch []event.Envelope, heard map[string]sale.Heard) error
}

// Handler of the queue event.SalesQueue.
type Handler struct{ Store Store }

// Handle applies a batch, all or none.
func (h Handler) Handle(ctx context.Context, batch []event.Envelope) error {
	heard := make(map[string]sale.Heard, len(batch))
	for _, e := range batch {
		read, err := read(e)
		if err != nil {
			return fmt.Errorf("%w: %w", broker.ErrPoison, err)
		}
		heard[e.ID.String()] = read
	}
	return h.Store.Apply(ctx, batch, heard)
}

// read decodes an event into what it means for its sale.
func read(e event.Envelope) (sale.Heard, error) {
	switch e.Type {
	case event.SaleItemsReservedResponseType:
		reserved, err := event.Decode[event.SaleItemsReservedResponse](e)
		return sale.Heard{SaleID: reserved.SaleID, Data: reserved,
			Hear: func(s *sale.Sale, now time.Time) (event.Data, bool) {
				confirmed, changed := s.HearReserved(reserved, now)
				if confirmed == nil {
					return nil, changed
				}
				return *confirmed, changed
			}}, err
	case event.SaleCreationFailedType:
		failed, err := event.Decode[event.SaleCreationFailed](e)
		return sale.Heard{SaleID: failed.SaleID, Data: failed,
			Hear: func(s *sale.Sale, now time.Time) (event.Data, bool) { return nil, s.HearFailed(failed, now) }}, err
	case event.StockReleasedType:
		released, err := event.Decode[event.StockReleased](e)
		return sale.Heard{SaleID: released.SaleID, Data: released, Hear: noteOnly}, err
	case event.StockCanceledType:
		canceled, err := event.Decode[event.StockCanceled](e)
		return sale.Heard{SaleID: canceled.SaleID, Data: canceled, Hear: noteOnly}, err
	}
	return sale.Heard{}, fmt.Errorf("%w: sales does not know %q", event.ErrInvalid, e.Type)
}

func noteOnly(*sale.Sale, time.Time) (event.Data, bool) { return nil, true }
