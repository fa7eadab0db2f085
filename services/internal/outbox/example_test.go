package outbox_test

import (
	"context"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/outbox"
)

// The status changes and its event is published, or neither. main runs Outbox.Run in the
// background.
func ExampleOutbox_Transact() {
	confirm := func(ctx context.Context, events *outbox.Outbox, saleID int64) error {
		return events.Transact(ctx, func(tx *outbox.Tx) error {
			if err := tx.Exec("UPDATE sales SET status = 'Confirmed' WHERE id = ?", saleID).Error; err != nil {
				return err
			}
			tx.Publish(event.SaleConfirmed{SaleID: saleID, Items: []event.Item{{ProductID: 7, Quantity: 2}}})
			return nil
		})
	}
	_ = confirm
}
