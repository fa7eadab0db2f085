// Package messaging implements the consumer of the events that stock publishes. It applies
// a batch of events to their sales in one transaction.
package messaging

import (
	"context"
	"fmt"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Store applies events to sales.
type Store interface {
	// Apply applies the commands of a batch in one transaction. The error wraps
	// broker.ErrPoison when a sale does not exist, and is a *failure.Error of kind
	// KindUnavailable while the database is unavailable.
	Apply(ctx context.Context, batch []sale.Command) error
	// Locked reports which sales another transaction has locked, see broker.Settings.
	Locked(ctx context.Context, sales []int64, wait bool) (map[int64]bool, error)
}

// Handler handles the events of event.SalesQueue. It implements broker.Handler.
type Handler struct{ Store Store }

// Handle implements broker.Handler.
func (h Handler) Handle(ctx context.Context, batch []event.Envelope) error {
	commands, err := decodeAll(batch)
	if err != nil {
		return err
	}
	return h.Store.Apply(ctx, commands)
}

// Locked is for broker.Settings.
func (h Handler) Locked(ctx context.Context, batch []event.Envelope, wait bool) ([]bool, error) {
	commands, err := decodeAll(batch)
	if err != nil {
		return nil, err
	}
	sales := make([]int64, len(commands))
	for i, c := range commands {
		sales[i] = c.SaleID
	}
	lockedSales, err := h.Store.Locked(ctx, sales, wait)
	if err != nil {
		return nil, err
	}
	locked := make([]bool, len(sales))
	for i, id := range sales {
		locked[i] = lockedSales[id]
	}
	return locked, nil
}

func decodeAll(batch []event.Envelope) ([]sale.Command, error) {
	commands := make([]sale.Command, len(batch))
	for i, e := range batch {
		c := sale.Command{TraceParent: e.TraceParent}
		var err error
		if c.SaleID, c.Event, err = decode(e); err != nil {
			return nil, fmt.Errorf("%w: %w", broker.ErrPoison, err)
		}
		commands[i] = c
	}
	return commands, nil
}

// decode returns the data of an event, and the id of its sale. It returns event.ErrInvalid
// for a type that sales does not consume.
func decode(e event.Envelope) (saleID int64, data event.Data, err error) {
	switch e.Type {
	case event.SaleItemsReservedResponseType:
		d, err := event.Decode[event.SaleItemsReservedResponse](e)
		return d.SaleID, d, err
	case event.SaleCreationFailedType:
		d, err := event.Decode[event.SaleCreationFailed](e)
		return d.SaleID, d, err
	case event.StockReleasedType:
		d, err := event.Decode[event.StockReleased](e)
		return d.SaleID, d, err
	case event.StockCanceledType:
		d, err := event.Decode[event.StockCanceled](e)
		return d.SaleID, d, err
	}
	return 0, nil, fmt.Errorf("%w: sales does not consume %q", event.ErrInvalid, e.Type)
}
