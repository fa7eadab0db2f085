package contract

import (
	"fmt"
	"net/http"
	"slices"
)

// product of the catalogue.
type product struct {
	ID                                 int64
	Name, Description, Price, Currency string
	CreatedAt, UpdatedAt               string
	etag                               string
}

func desk(quantity int64) map[string]any {
	return map[string]any{"name": "Desk " + unique(), "description": "Oiled.", "price": "19.99", "initialQuantity": quantity}
}

// product adds one to the catalogue.
func (w *world) product(quantity int64) product {
	w.t.Helper()
	return w.productOf(desk(quantity))
}

func (w *world) productOf(body map[string]any) product {
	w.t.Helper()
	a := w.must("POST /products", http.StatusCreated, call{as: w.manager, body: body})
	var made product
	a.into(w, &made)
	made.etag = a.header.Get("ETag")
	return made
}

// removed is a product that left the catalogue.
func (w *world) removed() product {
	w.t.Helper()
	p := w.product(1)
	w.must("DELETE /products/{productId}", http.StatusNoContent, call{as: w.manager, args: []any{p.ID}})
	return p
}

// reserved is a product with manually reserved goods.
func (w *world) reserved(quantity, held int64) product {
	w.t.Helper()
	p := w.product(quantity)
	w.must("POST /stock/{productId}/reserve/{quantity}", http.StatusOK, call{as: w.manager, args: []any{p.ID, held}})
	return p
}

// sale is an order.
type sale struct {
	ID, CustomerID           int64
	Status, Reason, Currency string
	Hold                     bool
	TotalAmount              string
	ExpiresAt                string
	Items                    []line
	Shortages                []struct{ ProductID, Requested, Available int64 }
}

type line struct {
	ProductID int64  `json:"productId"`
	Quantity  int64  `json:"quantity"`
	UnitPrice string `json:"unitPrice,omitempty"`
}

func order(lines ...line) map[string]any { return map[string]any{"items": lines} }

func held(lines ...line) map[string]any { return map[string]any{"items": lines, "hold": true} }

// place orders.
func (w *world) place(as *session, body map[string]any, header ...string) sale {
	w.t.Helper()
	a := w.must("POST /sales", http.StatusAccepted, call{as: as, body: body, header: header})
	var made sale
	a.into(w, &made)
	return made
}

// sale reads an order.
func (w *world) sale(as *session, id int64) sale {
	w.t.Helper()
	var now sale
	w.must("GET /sales/{id}", http.StatusOK, call{as: as, args: []any{id}}).into(w, &now)
	return now
}

// becomes waits for an order's status.
func (w *world) becomes(as *session, id int64, status string) sale {
	w.t.Helper()
	var now sale
	w.until(fmt.Sprintf("sale %d is %s", id, status), func() bool {
		now = w.sale(as, id)
		return now.Status == status
	})
	return now
}

// confirmed is an order of ann's that is decided.
func (w *world) confirmed() sale {
	w.t.Helper()
	made := w.place(w.ann, order(line{ProductID: w.product(5).ID, Quantity: 2}))
	return w.becomes(w.ann, made.ID, "Confirmed")
}

// onHold is an order of ann's that is held, with its stock reserved.
func (w *world) onHold() sale {
	w.t.Helper()
	return w.onHoldOf(w.product(5).ID)
}

func (w *world) onHoldOf(productID int64) sale {
	w.t.Helper()
	made := w.place(w.ann, held(line{ProductID: productID, Quantity: 2}))
	var now sale
	w.until("the stock is reserved", func() bool {
		now = w.sale(w.ann, made.ID)
		return now.TotalAmount != ""
	})
	return now
}

// stockOf a product.
func (w *world) stockOf(id int64) stock {
	w.t.Helper()
	var now stock
	w.must("GET /stock/{productId}", http.StatusOK, call{as: w.manager, args: []any{id}}).into(w, &now)
	return now
}

// stock of a product.
type stock struct {
	ProductID                                            int64
	QuantityAvailable, QuantityReserved, QuantityRemoved int64
}

// salesOf are a client's orders of a product, among the newest.
func (w *world) salesOf(as *session, productID int64) []sale {
	w.t.Helper()
	var list struct{ Items []sale }
	w.must("GET /sales", http.StatusOK, call{as: as, query: "limit=200"}).into(w, &list)
	return slices.DeleteFunc(list.Items, func(s sale) bool { return s.Items[0].ProductID != productID })
}
