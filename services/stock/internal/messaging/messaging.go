// Package messaging implements the consumer of the events that sales publishes. It applies a
// batch of events to the inventory in one transaction.
package messaging

import (
	"context"
	"fmt"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// Store applies events to the inventory.
type Store interface {
	// Apply applies a batch in one transaction. For each event that is new it calls decide
	// with a UnitOfWork that has all sales and products, and publishes the event that decide
	// returns. An error of decide is wrapped with broker.ErrPoison. While the database is
	// unavailable the error is a *failure.Error of kind KindUnavailable.
	Apply(ctx context.Context, batch []event.Envelope, sales, products []int64,
		decide func(*inventory.UnitOfWork, event.Envelope) (event.Data, error)) error
}

// Handler handles the events of event.StockQueue. It implements broker.Handler.
type Handler struct{ Store Store }

// command applies a decoded event and returns the event to publish, or nil.
type command func(*inventory.UnitOfWork) (event.Data, error)

// Handle implements broker.Handler.
func (h Handler) Handle(ctx context.Context, batch []event.Envelope) error {
	commands := make(map[string]command, len(batch))
	var sales, products []int64
	for _, e := range batch {
		c, sale, wanted, err := decode(e)
		if err != nil {
			return fmt.Errorf("%w: %w", broker.ErrPoison, err)
		}
		commands[e.ID.String()] = c
		sales = append(sales, sale)
		products = append(products, wanted...)
	}
	return h.Store.Apply(ctx, batch, sales, products, func(u *inventory.UnitOfWork, e event.Envelope) (event.Data, error) {
		return commands[e.ID.String()](u)
	})
}

// decode decodes an event. It returns what the event does, the id of its sale, and the ids of
// its products. It returns event.ErrInvalid for a type that stock does not consume.
func decode(e event.Envelope) (command, int64, []int64, error) {
	switch e.Type {
	case event.SaleCreatedType:
		created, err := event.Decode[event.SaleCreated](e)
		if err == nil {
			err = checkItems(created.Items)
		}
		products := make([]int64, len(created.Items))
		for i, item := range created.Items {
			products[i] = item.ProductID
		}
		return func(u *inventory.UnitOfWork) (event.Data, error) { return u.Reserve(created), nil }, created.SaleID, products, err
	case event.SaleConfirmedType:
		confirmed, err := event.Decode[event.SaleConfirmed](e)
		return func(u *inventory.UnitOfWork) (event.Data, error) { return u.Remove(confirmed) }, confirmed.SaleID, nil, err
	case event.SaleCanceledType:
		canceled, err := event.Decode[event.SaleCanceled](e)
		return func(u *inventory.UnitOfWork) (event.Data, error) { return u.Release(canceled) }, canceled.SaleID, nil, err
	}
	return nil, 0, nil, fmt.Errorf("%w: stock does not consume %q", event.ErrInvalid, e.Type)
}

func checkItems(items []event.Item) error {
	if len(items) == 0 {
		return fmt.Errorf("%w: a sale without items", event.ErrInvalid)
	}
	for _, i := range items {
		if i.ProductID <= 0 || i.Quantity <= 0 || i.Quantity > inventory.MaxQuantity {
			return fmt.Errorf("%w: quantity %d of product %d", event.ErrInvalid, i.Quantity, i.ProductID)
		}
	}
	return nil
}
