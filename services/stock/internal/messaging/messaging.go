// Package messaging implements the consumer of the events that sales publishes. It applies a
// batch of events to the inventory in one transaction.
package messaging

import (
	"context"
	"fmt"
	"log/slog"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// Store applies events to the inventory.
type Store interface {
	// Apply applies the commands of a batch in one transaction, and publishes and returns the
	// event that each of them causes, nil for one that changes nothing. The error wraps broker.ErrPoison when a command violates an invariant, and is
	// a *failure.Error of kind KindUnavailable while the database is unavailable.
	Apply(ctx context.Context, batch []inventory.Command) ([]event.Data, error)
	// Locked reports which commands of a batch need rows that another transaction has locked, see broker.Settings.
	Locked(ctx context.Context, batch []inventory.Command, wait bool) ([]bool, error)
}

// Handler handles the events of event.StockQueue. It implements broker.Handler.
type Handler struct {
	Store Store
	Log   *slog.Logger
}

// Handle implements broker.Handler.
func (h Handler) Handle(ctx context.Context, batch []event.Envelope) error {
	commands, err := decodeAll(batch)
	if err != nil {
		return err
	}
	published, err := h.Store.Apply(ctx, commands)
	if err != nil {
		return err
	}
	for i, p := range published {
		h.log(telemetry.WithTraceParent(ctx, commands[i].TraceParent), p)
	}
	return nil
}

// Locked is for broker.Settings.
func (h Handler) Locked(ctx context.Context, batch []event.Envelope, wait bool) ([]bool, error) {
	commands, err := decodeAll(batch)
	if err != nil {
		return nil, err
	}
	return h.Store.Locked(ctx, commands, wait)
}

func decodeAll(batch []event.Envelope) ([]inventory.Command, error) {
	commands := make([]inventory.Command, len(batch))
	for i, e := range batch {
		var err error
		if commands[i], err = decode(e); err != nil {
			return nil, fmt.Errorf("%w: %w", broker.ErrPoison, err)
		}
		commands[i].TraceParent = e.TraceParent
	}
	return commands, nil
}

// log writes a line about the event that a sale has caused: that its stock is reserved or
// not, and at level debug what became of the reservation.
func (h Handler) log(ctx context.Context, published event.Data) {
	switch p := published.(type) {
	case event.SaleItemsReservedResponse:
		h.Log.InfoContext(ctx, "sale decided", "saleId", p.SaleID, "outcome", inventory.ReservationReserved)
	case event.SaleCreationFailed:
		h.Log.InfoContext(ctx, "sale decided", "saleId", p.SaleID, "outcome", inventory.ReservationRejected, "reason", p.Reason)
	case event.StockReleased:
		h.Log.DebugContext(ctx, "reservation ended", "saleId", p.SaleID, "outcome", inventory.ReservationRemoved)
	case event.StockCanceled:
		h.Log.DebugContext(ctx, "reservation ended", "saleId", p.SaleID, "outcome", inventory.ReservationReleased)
	}
}

// decode returns the command in an event. It returns event.ErrInvalid for a type that stock
// does not consume.
func decode(e event.Envelope) (inventory.Command, error) {
	switch e.Type {
	case event.SaleCreatedType:
		created, err := event.Decode[event.SaleCreated](e)
		if err != nil {
			return inventory.Command{}, err
		}
		lines, err := inventory.NewLines(created.Items)
		return inventory.Command{Action: inventory.ActionReserve, SaleID: created.SaleID, CustomerID: created.CustomerID, Lines: lines,
			Repeated: created.Repeated}, err
	case event.SaleConfirmedType:
		confirmed, err := event.Decode[event.SaleConfirmed](e)
		return inventory.Command{Action: inventory.ActionRemove, SaleID: confirmed.SaleID, Repeated: confirmed.Repeated}, err
	case event.SaleCanceledType:
		canceled, err := event.Decode[event.SaleCanceled](e)
		return inventory.Command{Action: inventory.ActionRelease, SaleID: canceled.SaleID, Repeated: canceled.Repeated}, err
	}
	return inventory.Command{}, fmt.Errorf("%w: stock does not consume %q", event.ErrInvalid, e.Type)
}
