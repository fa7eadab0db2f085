// Package messaging hands what sales says to the inventory: one handler per event,
// a batch in one transaction.
package messaging

import (
	"context"
	"fmt"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// Store applies a batch: decide answers each event that is new, on a book over all
// the sales and products named.
type Store interface {
	Apply(ctx context.Context, batch []event.Envelope, sales, products []int64,
		decide func(*inventory.Book, event.Envelope) (event.Data, error)) error
}

// Handler of the queue event.StockQueue.
type Handler struct{ Store Store }

// command is an event that has been read.
type command func(*inventory.Book) (event.Data, error)

// Handle applies a batch, all or none.
func (h Handler) Handle(ctx context.Context, batch []event.Envelope) error {
	commands := make(map[string]command, len(batch))
	var sales, products []int64
	for _, e := range batch {
		c, sale, wanted, err := read(e)
		if err != nil {
			return fmt.Errorf("%w: %w", broker.ErrPoison, err)
		}
		commands[e.ID.String()] = c
		sales = append(sales, sale)
		products = append(products, wanted...)
	}
	return h.Store.Apply(ctx, batch, sales, products, func(b *inventory.Book, e event.Envelope) (event.Data, error) {
		return commands[e.ID.String()](b)
	})
}

// read decodes an event into what it does, the sale it is about and the products it
// names.
func read(e event.Envelope) (command, int64, []int64, error) {
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
		return func(b *inventory.Book) (event.Data, error) { return b.Reserve(created), nil }, created.SaleID, products, err
	case event.SaleConfirmedType:
		confirmed, err := event.Decode[event.SaleConfirmed](e)
		return func(b *inventory.Book) (event.Data, error) { return b.Remove(confirmed) }, confirmed.SaleID, nil, err
	case event.SaleCanceledType:
		canceled, err := event.Decode[event.SaleCanceled](e)
		return func(b *inventory.Book) (event.Data, error) { return b.Return(canceled) }, canceled.SaleID, nil, err
	}
	return nil, 0, nil, fmt.Errorf("%w: stock does not know %q", event.ErrInvalid, e.Type)
}

func checkItems(items []event.Item) error {
	if len(items) == 0 {
		return fmt.Errorf("%w: a sale without items", event.ErrInvalid)
	}
	for _, i := range items {
		if i.ProductID <= 0 || i.Quantity <= 0 || i.Quantity > inventory.MaxQuantity {
			return fmt.Errorf("%w: item of product %d with quantity %d", event.ErrInvalid, i.ProductID, i.Quantity)
		}
	}
	return nil
}
