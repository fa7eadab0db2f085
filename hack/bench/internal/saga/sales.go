package saga

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/event"
)

// Sales handles a batch of events of stock in one transaction: it confirms sales whose items
// are reserved, and adds all events to the timeline. It returns the messages to publish and
// the number of sagas that have ended.
func (b *Database) Sales(ctx context.Context, batch []event.Envelope) (messages []Message, ended int, err error) {
	err = transact(ctx, b.sales, func(tx *sql.Tx) error {
		messages, ended = nil, 0
		if err := insertInbox(ctx, tx, batch); err != nil {
			return err
		}
		at := now()
		var reserved []event.SaleItemsReservedResponse
		var timeline []any
		for _, e := range batch {
			timeline = append(timeline, number(e.Subject), e.Type, string(e.Data), at)
			if e.Type != event.SaleItemsReservedResponseType {
				ended++
				continue
			}
			r, err := event.Decode[event.SaleItemsReservedResponse](e)
			if err != nil {
				return err
			}
			reserved = append(reserved, r)
		}
		var err error
		if messages, err = confirm(ctx, tx, reserved, at); err != nil {
			return err
		}
		for i, m := range messages {
			timeline = append(timeline, reserved[i].SaleID, m.Type, encode(confirmation(reserved[i])), at)
		}
		if err := insertTimeline(ctx, tx, timeline); err != nil {
			return err
		}
		return insertOutbox(ctx, tx, messages)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("apply %d events: %w", len(batch), err)
	}
	return messages, ended, nil
}

// confirm locks the sales, which must be pending, and confirms them.
func confirm(ctx context.Context, tx *sql.Tx, reserved []event.SaleItemsReservedResponse, at time.Time) ([]Message, error) {
	if len(reserved) == 0 {
		return nil, nil
	}
	ids := make([]any, len(reserved))
	for i, r := range reserved {
		ids[i] = r.SaleID
	}
	if err := lockPending(ctx, tx, ids); err != nil {
		return nil, err
	}
	messages := make([]Message, len(reserved))
	arguments := make([]any, 0, 6*len(reserved))
	for i, r := range reserved {
		var err error
		if messages[i], err = newMessage("sales", confirmation(r), at); err != nil {
			return nil, err
		}
		arguments = append(arguments, r.SaleID, r.CustomerID, encode(r.ItemsReserved), total(r), at, at)
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO sales (id, customer_id, status, hold, reserved, reason, items, total, currency, created_at, updated_at) VALUES "+
		values("(?,?,'Confirmed',0,1,'',?,?,'USD',?,?)", len(reserved))+" ON DUPLICATE KEY UPDATE status = VALUES(status), reserved = VALUES(reserved), "+
		"items = VALUES(items), total = VALUES(total), updated_at = VALUES(updated_at)", arguments...)
	return messages, err
}

func lockPending(ctx context.Context, tx *sql.Tx, ids []any) error {
	rows, err := tx.QueryContext(ctx, "SELECT id FROM sales WHERE status = 'Pending' AND id IN ("+values("?", len(ids))+") ORDER BY id FOR UPDATE", ids...)
	if err != nil {
		return fmt.Errorf("lock sales: %w", err)
	}
	defer rows.Close()
	pending := 0
	for rows.Next() {
		pending++
	}
	if pending != len(ids) {
		return firstError(rows.Err(), fmt.Errorf("%d of %d sales are pending", pending, len(ids)))
	}
	return rows.Err()
}

func confirmation(r event.SaleItemsReservedResponse) event.SaleConfirmed {
	items := make([]event.Item, len(r.ItemsReserved))
	for i, it := range r.ItemsReserved {
		items[i] = event.Item{ProductID: it.ProductID, Quantity: it.Quantity}
	}
	return event.SaleConfirmed{SaleID: r.SaleID, Items: items}
}

func total(r event.SaleItemsReservedResponse) decimal.Decimal {
	var sum decimal.Decimal
	for _, i := range r.ItemsReserved {
		sum = sum.Add(i.Price.Mul(decimal.NewFromInt(i.Quantity)))
	}
	return sum
}
