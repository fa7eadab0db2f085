package saga

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/event"
)

// database contains the two schemas of a saga.
type database struct{ sales, stock *schema }

// open opens the schemas of an environment. url is that of the broker, or "".
func (e *Environment) open(limit int, url string) (d database, err error) {
	if d.sales, err = openSchema(e.DSN, e.Sales, "sales", limit, url); err != nil {
		return d, err
	}
	if d.stock, err = openSchema(e.DSN, e.Stock, "stock", limit, url); err != nil {
		err = errors.Join(err, d.sales.close(context.Background()))
	}
	return d, err
}

// close deletes the remaining published rows and closes the connections.
func (d database) close(ctx context.Context) error {
	return errors.Join(d.sales.close(ctx), d.stock.close(ctx))
}

// order is an order of a customer.
type order struct {
	customer int64
	key      string // the Idempotency-Key of the request
	items    []event.Item
}

const timeline = "timeline (sale_id, type, data, at)"

// accept commits orders as pending sales.
func (d database) accept(ctx context.Context, orders []order) ([]message, error) {
	return d.sales.transact(ctx, func(t *tx) {
		var sales, entries, requests []any
		for _, o := range orders {
			sales = append(sales, o.customer, encode(o.items), t.at, t.at)
		}
		first := t.insert("sales (customer_id, status, hold, reserved, reason, items, currency, created_at, updated_at)", "(?,'Pending',0,0,'',?,'USD',?,?)", sales)
		for i, o := range orders {
			created := event.SaleCreated{SaleID: first + int64(i), CustomerID: o.customer, Items: o.items}
			entries = append(entries, created.SaleID, created.EventType(), encode(created), t.at)
			key, body := sha256.Sum256([]byte(o.key)), sha256.Sum256(t.publish(created))
			response := map[string]any{"ID": created.SaleID, "CustomerID": o.customer, "Status": "Pending", "Hold": false, "Items": o.items,
				"Currency": "USD", "CreatedAt": t.at, "UpdatedAt": t.at} // It has the size of a real one.
			requests = append(requests, o.customer, key[:], body[:], encode(response), t.at)
		}
		t.insert(timeline, "(?,?,?,?)", entries, " ON DUPLICATE KEY UPDATE id = id")
		t.insert("requests (customer_id, key_hash, body_hash, response, created_at)", "(?,?,?,?,?)", requests)
	})
}

// stocked is a row of the table stocks with the price of the product.
type stocked struct {
	available, reserved, removed int64
	price                        decimal.Decimal
}

// handleSales handles events of sales as the stock service does: it reserves the items of new
// sales and removes the reservations of confirmed ones. It returns an error if the stock of a
// product is too low.
func (d database) handleSales(ctx context.Context, batch []event.Envelope) ([]message, error) {
	return d.stock.transact(ctx, func(t *tx) {
		var created []event.SaleCreated
		var confirmed []any
		var products []event.Item
		for _, e := range batch {
			if e.Type == event.SaleCreatedType {
				created = append(created, decode[event.SaleCreated](t, e))
				products = append(products, created[len(created)-1].Items...)
			} else {
				c := decode[event.SaleConfirmed](t, e)
				confirmed, products = append(confirmed, c.SaleID), append(products, c.Items...)
			}
		}
		reservations := lockReservations(t, confirmed)
		stocks := lockStocks(t, products, len(created) > 0)
		if t.err != nil {
			return
		}
		var movements, inserted []any
		for _, c := range created {
			priced := make([]event.PricedItem, len(c.Items))
			for i, it := range c.Items {
				s := stocks[it.ProductID]
				if s.available < it.Quantity {
					t.fail(fmt.Errorf("the stock of product %d is too low", it.ProductID))
					return
				}
				s.available, s.reserved = s.available-it.Quantity, s.reserved+it.Quantity
				movements = append(movements, it.ProductID, "reserved", it.Quantity, c.SaleID, t.at)
				priced[i] = event.PricedItem{ProductID: it.ProductID, Quantity: it.Quantity, Price: s.price}
			}
			inserted = append(inserted, c.SaleID, c.CustomerID, encode(c.Items), t.at)
			t.publish(event.SaleItemsReservedResponse{SaleID: c.SaleID, CustomerID: c.CustomerID, ItemsReserved: priced})
		}
		for _, id := range confirmed {
			sale := id.(int64)
			for _, it := range reservations[sale] {
				s := stocks[it.ProductID]
				s.reserved, s.removed = s.reserved-it.Quantity, s.removed+it.Quantity
				movements = append(movements, it.ProductID, "removed", it.Quantity, sale, t.at)
			}
			t.publish(event.StockReleased{SaleID: sale, Items: reservations[sale], ReleasedAt: t.at})
		}
		t.insert("reservations (sale_id, customer_id, status, lines_json, at)", "(?,?,'Reserved',?,?)", inserted)
		if len(confirmed) > 0 {
			t.exec("UPDATE reservations SET status = 'Removed', at = ? WHERE sale_id IN "+list(confirmed), append([]any{t.at}, confirmed...))
		}
		var rows []any
		for _, id := range slices.Sorted(maps.Keys(stocks)) {
			rows = append(rows, id, stocks[id].available, stocks[id].reserved, stocks[id].removed, t.at)
		}
		t.insert("stocks (product_id, available, reserved_sales, reserved_manual, removed, updated_at)", "(?,?,?,0,?,?)", rows,
			" ON DUPLICATE KEY UPDATE available = VALUES(available), reserved_sales = VALUES(reserved_sales), removed = VALUES(removed), updated_at = VALUES(updated_at)")
		t.insert("movements (product_id, kind, quantity, sale_id, at)", "(?,?,?,?,?)", movements)
	})
}

// lockReservations locks the reservations of the confirmed sales and returns their items.
func lockReservations(t *tx, confirmed []any) map[int64][]event.Item {
	reservations := map[int64][]event.Item{}
	t.query("SELECT sale_id, lines_json FROM reservations WHERE status = 'Reserved' AND sale_id IN ", confirmed, " ORDER BY sale_id FOR UPDATE", func(rows *sql.Rows) error {
		var id int64
		var raw []byte
		if err := rows.Scan(&id, &raw); err != nil {
			return err
		}
		var items []event.Item
		err := json.Unmarshal(raw, &items)
		reservations[id] = items
		return err
	})
	if len(reservations) != len(confirmed) {
		t.fail(fmt.Errorf("%d of %d confirmed sales have a reservation", len(reservations), len(confirmed)))
	}
	return reservations
}

// lockStocks locks and returns the stock of the products of items, with prices if required.
func lockStocks(t *tx, items []event.Item, prices bool) map[int64]*stocked {
	stocks := map[int64]*stocked{}
	var ids []any
	for _, it := range items {
		if stocks[it.ProductID] == nil {
			stocks[it.ProductID] = &stocked{}
			ids = append(ids, it.ProductID)
		}
	}
	t.query("SELECT product_id, available, reserved_sales, removed FROM stocks WHERE product_id IN ", ids, " ORDER BY product_id FOR UPDATE", func(rows *sql.Rows) error {
		var id int64
		var s stocked
		err := rows.Scan(&id, &s.available, &s.reserved, &s.removed)
		stocks[id] = &s
		return err
	})
	if prices {
		t.query("SELECT id, price FROM products WHERE deleted_at IS NULL AND id IN ", ids, "", func(rows *sql.Rows) error {
			var id int64
			var price decimal.Decimal
			err := rows.Scan(&id, &price)
			stocks[id].price = price
			return err
		})
	}
	return stocks
}

// handleStock handles events of stock as the sales service does: it confirms sales whose items
// are reserved, and adds all events to the timeline. It also returns the number of sagas that
// have ended.
func (d database) handleStock(ctx context.Context, batch []event.Envelope) (messages []message, ended int, err error) {
	messages, err = d.sales.transact(ctx, func(t *tx) {
		ended = 0
		var pending, sales, entries []any
		var confirmed []event.SaleConfirmed
		for _, e := range batch {
			id, err := strconv.ParseInt(e.Subject, 10, 64)
			t.fail(err)
			entries = append(entries, id, e.Type, string(e.Data), t.at)
			if e.Type != event.SaleItemsReservedResponseType {
				ended++
				continue
			}
			r := decode[event.SaleItemsReservedResponse](t, e)
			total, items := decimal.Zero, make([]event.Item, len(r.ItemsReserved))
			for i, it := range r.ItemsReserved {
				total = total.Add(it.Price.Mul(decimal.NewFromInt(it.Quantity)))
				items[i] = event.Item{ProductID: it.ProductID, Quantity: it.Quantity}
			}
			pending = append(pending, id)
			confirmed = append(confirmed, event.SaleConfirmed{SaleID: id, Items: items})
			sales = append(sales, id, r.CustomerID, encode(r.ItemsReserved), total, t.at, t.at)
		}
		locked := 0
		t.query("SELECT id FROM sales WHERE status = 'Pending' AND id IN ", pending, " ORDER BY id FOR UPDATE", func(*sql.Rows) error {
			locked++
			return nil
		})
		if locked != len(pending) {
			t.fail(fmt.Errorf("%d of %d sales are pending", locked, len(pending)))
		}
		t.insert("sales (id, customer_id, status, hold, reserved, reason, items, total, currency, created_at, updated_at)", "(?,?,'Confirmed',0,1,'',?,?,'USD',?,?)", sales,
			" ON DUPLICATE KEY UPDATE status = VALUES(status), reserved = VALUES(reserved), items = VALUES(items), total = VALUES(total), updated_at = VALUES(updated_at)")
		for _, c := range confirmed {
			t.publish(c)
			entries = append(entries, c.SaleID, c.EventType(), encode(c), t.at)
		}
		t.insert(timeline, "(?,?,?,?)", entries, " ON DUPLICATE KEY UPDATE id = id")
	})
	return messages, ended, err
}
