// Package messaging implements the consumer of the events that stock publishes. It applies
// a batch of events to their sales in one transaction.
package messaging

import (
	"context"
	"fmt"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Store applies events to sales.
type Store interface {
	// Apply applies a batch in one transaction. received maps the ids of the events to what
	// they do. The error wraps broker.ErrPoison when a sale does not exist, and is a
	// *failure.Error of kind KindUnavailable while the database is unavailable.
	Apply(ctx context.Context, batch []event.Envelope, received map[string]sale.StockEvent) error
}

// Handler handles the events of event.SalesQueue. It implements broker.Handler.
type Handler struct{ Store Store }

// Handle implements broker.Handler.
func (h Handler) Handle(ctx context.Context, batch []event.Envelope) error {
	received := make(map[string]sale.StockEvent, len(batch))
	for _, e := range batch {
		decoded, err := decode(e)
		if err != nil {
			return fmt.Errorf("%w: %w", broker.ErrPoison, err)
		}
		received[e.ID.String()] = decoded
	}
	return h.Store.Apply(ctx, batch, received)
}

// decode decodes an event. It returns event.ErrInvalid for a type that sales does not
// consume.
func decode(e event.Envelope) (sale.StockEvent, error) {
	switch e.Type {
	case event.SaleItemsReservedResponseType:
		reserved, err := event.Decode[event.SaleItemsReservedResponse](e)
		return sale.StockEvent{SaleID: reserved.SaleID, Data: reserved,
			Apply: func(s *sale.Sale, now time.Time) (event.Data, bool) {
				confirmed, changed := s.ApplyReserved(reserved, now)
				if confirmed == nil {
					return nil, changed
				}
				return *confirmed, changed
			}}, err
	case event.SaleCreationFailedType:
		failed, err := event.Decode[event.SaleCreationFailed](e)
		return sale.StockEvent{SaleID: failed.SaleID, Data: failed,
			Apply: func(s *sale.Sale, now time.Time) (event.Data, bool) { return nil, s.ApplyRejected(failed, now) }}, err
	case event.StockReleasedType:
		released, err := event.Decode[event.StockReleased](e)
		return sale.StockEvent{SaleID: released.SaleID, Data: released, Apply: recordOnly}, err
	case event.StockCanceledType:
		canceled, err := event.Decode[event.StockCanceled](e)
		return sale.StockEvent{SaleID: canceled.SaleID, Data: canceled, Apply: recordOnly}, err
	}
	return sale.StockEvent{}, fmt.Errorf("%w: sales does not consume %q", event.ErrInvalid, e.Type)
}

// recordOnly adds an event to the timeline without changing the sale.
func recordOnly(*sale.Sale, time.Time) (event.Data, bool) { return nil, true }
