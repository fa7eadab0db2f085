package saga

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/event"
)

// Stock handles a batch of events of sales in one transaction: it reserves the items of new
// sales and removes the reservations of confirmed ones. It returns the messages to publish.
// It returns an error if the stock of a product is too low.
func (b *Database) Stock(ctx context.Context, batch []event.Envelope) ([]Message, error) {
	var messages []Message
	err := transact(ctx, b.stock, func(tx *sql.Tx) error {
		if err := insertInbox(ctx, tx, batch); err != nil {
			return err
		}
		d := &decision{at: now(), stocks: map[int64]*stockRow{}}
		if err := d.read(ctx, tx, batch); err != nil {
			return err
		}
		if err := d.decide(); err != nil {
			return err
		}
		messages = d.messages
		return d.write(ctx, tx)
	})
	if err != nil {
		return nil, fmt.Errorf("decide %d events: %w", len(batch), err)
	}
	return messages, nil
}

// stockRow is a row of the table stocks.
type stockRow struct {
	available, reservedSales, removed int64
	price                             decimal.Decimal
}

// decision contains the changes of a batch.
type decision struct {
	at        time.Time
	created   []event.SaleCreated
	confirmed []event.SaleConfirmed
	stocks    map[int64]*stockRow
	products  []int64

	reservations, movements []any
	messages                []Message
}

func (d *decision) read(ctx context.Context, tx *sql.Tx, batch []event.Envelope) error {
	for _, e := range batch {
		var items []event.Item
		switch e.Type {
		case event.SaleCreatedType:
			created, err := event.Decode[event.SaleCreated](e)
			if err != nil {
				return err
			}
			d.created, items = append(d.created, created), created.Items
		case event.SaleConfirmedType:
			confirmed, err := event.Decode[event.SaleConfirmed](e)
			if err != nil {
				return err
			}
			d.confirmed, items = append(d.confirmed, confirmed), confirmed.Items
		}
		for _, i := range items {
			d.products = append(d.products, i.ProductID)
		}
	}
	slices.Sort(d.products)
	d.products = slices.Compact(d.products)
	if err := d.lockReservations(ctx, tx); err != nil {
		return err
	}
	if err := d.lockStocks(ctx, tx); err != nil {
		return err
	}
	return d.readPrices(ctx, tx)
}

// lockReservations locks and reads the reservations of the confirmed sales.
func (d *decision) lockReservations(ctx context.Context, tx *sql.Tx) error {
	if len(d.confirmed) == 0 {
		return nil
	}
	ids := make([]any, len(d.confirmed))
	for i, c := range d.confirmed {
		ids[i] = c.SaleID
	}
	rows, err := tx.QueryContext(ctx, "SELECT sale_id, lines_json FROM reservations WHERE status = 'Reserved' AND sale_id IN ("+
		values("?", len(ids))+") ORDER BY sale_id FOR UPDATE", ids...)
	if err != nil {
		return fmt.Errorf("lock reservations: %w", err)
	}
	defer rows.Close()
	held := map[int64][]event.Item{}
	for rows.Next() {
		var id int64
		var raw []byte
		if err := rows.Scan(&id, &raw); err != nil {
			return err
		}
		var lines []event.Item
		if err := json.Unmarshal(raw, &lines); err != nil {
			return err
		}
		held[id] = lines
	}
	for i, c := range d.confirmed {
		if d.confirmed[i].Items = held[c.SaleID]; d.confirmed[i].Items == nil {
			return fmt.Errorf("sale %d has no reservation", c.SaleID)
		}
	}
	return rows.Err()
}

func (d *decision) ids() []any {
	ids := make([]any, len(d.products))
	for i, id := range d.products {
		ids[i] = id
	}
	return ids
}

func (d *decision) lockStocks(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, "SELECT product_id, available, reserved_sales, removed FROM stocks WHERE product_id IN ("+
		values("?", len(d.products))+") ORDER BY product_id FOR UPDATE", d.ids()...)
	if err != nil {
		return fmt.Errorf("lock stocks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var s stockRow
		if err := rows.Scan(&id, &s.available, &s.reservedSales, &s.removed); err != nil {
			return err
		}
		d.stocks[id] = &s
	}
	return rows.Err()
}

func (d *decision) readPrices(ctx context.Context, tx *sql.Tx) error {
	if len(d.created) == 0 {
		return nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT id, price FROM products WHERE deleted_at IS NULL AND id IN ("+
		values("?", len(d.products))+")", d.ids()...)
	if err != nil {
		return fmt.Errorf("read prices: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var price decimal.Decimal
		if err := rows.Scan(&id, &price); err != nil {
			return err
		}
		d.stocks[id].price = price
	}
	return rows.Err()
}

func (d *decision) decide() error {
	for _, c := range d.created {
		priced := make([]event.PricedItem, len(c.Items))
		for i, it := range c.Items {
			s := d.stocks[it.ProductID]
			if s == nil || s.available < it.Quantity {
				return fmt.Errorf("the stock of product %d is too low", it.ProductID)
			}
			s.available -= it.Quantity
			s.reservedSales += it.Quantity
			d.movements = append(d.movements, it.ProductID, "reserved", it.Quantity, c.SaleID, d.at)
			priced[i] = event.PricedItem{ProductID: it.ProductID, Quantity: it.Quantity, Price: s.price}
		}
		d.reservations = append(d.reservations, c.SaleID, c.CustomerID, encode(c.Items), d.at)
		if err := d.newMessage(event.SaleItemsReservedResponse{SaleID: c.SaleID, CustomerID: c.CustomerID, ItemsReserved: priced}); err != nil {
			return err
		}
	}
	for _, c := range d.confirmed {
		for _, it := range c.Items {
			s := d.stocks[it.ProductID]
			s.reservedSales -= it.Quantity
			s.removed += it.Quantity
			d.movements = append(d.movements, it.ProductID, "removed", it.Quantity, c.SaleID, d.at)
		}
		if err := d.newMessage(event.StockReleased{SaleID: c.SaleID, Items: c.Items, ReleasedAt: d.at}); err != nil {
			return err
		}
	}
	return nil
}

func (d *decision) newMessage(data event.Data) error {
	m, err := newMessage("stock", data, d.at)
	d.messages = append(d.messages, m)
	return err
}

func (d *decision) write(ctx context.Context, tx *sql.Tx) error {
	if _, err := insertInto(ctx, tx, "reservations (sale_id, customer_id, status, lines_json, at)", "(?,?,'Reserved',?,?)", d.reservations); err != nil {
		return err
	}
	if err := d.removeReservations(ctx, tx); err != nil {
		return err
	}
	if err := d.writeStocks(ctx, tx); err != nil {
		return err
	}
	if _, err := insertInto(ctx, tx, "movements (product_id, kind, quantity, sale_id, at)", "(?,?,?,?,?)", d.movements); err != nil {
		return err
	}
	return insertOutbox(ctx, tx, d.messages)
}

func (d *decision) removeReservations(ctx context.Context, tx *sql.Tx) error {
	if len(d.confirmed) == 0 {
		return nil
	}
	arguments := []any{d.at}
	for _, c := range d.confirmed {
		arguments = append(arguments, c.SaleID)
	}
	_, err := tx.ExecContext(ctx, "UPDATE reservations SET status = 'Removed', at = ? WHERE sale_id IN ("+
		values("?", len(d.confirmed))+")", arguments...)
	return err
}

func (d *decision) writeStocks(ctx context.Context, tx *sql.Tx) error {
	arguments := make([]any, 0, 5*len(d.products))
	for _, id := range d.products {
		s := d.stocks[id]
		arguments = append(arguments, id, s.available, s.reservedSales, s.removed, d.at)
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO stocks (product_id, available, reserved_sales, reserved_manual, removed, updated_at) VALUES "+
		values("(?,?,?,0,?,?)", len(d.products))+" ON DUPLICATE KEY UPDATE available = VALUES(available), reserved_sales = VALUES(reserved_sales), "+
		"removed = VALUES(removed), updated_at = VALUES(updated_at)", arguments...)
	return err
}
