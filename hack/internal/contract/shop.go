package contract

import (
	"fmt"
	"net/http"
	"slices"
)

// product is a product of the catalog.
type product struct {
	ID                                 int64
	Name, Description, Price, Currency string
	CreatedAt, UpdatedAt               string
	etag                               string
}

func deskBody(quantity int64) map[string]any {
	return map[string]any{"name": "Desk " + unique(), "description": "Oiled.", "price": "19.99", "initialQuantity": quantity}
}

// newProduct creates a product with a quantity in stock.
func (w *testContext) newProduct(quantity int64) product {
	w.t.Helper()
	return w.newProductOf(deskBody(quantity))
}

func (w *testContext) newProductOf(body map[string]any) product {
	w.t.Helper()
	a := w.must("POST /products", http.StatusCreated, call{as: w.manager, body: body})
	var created product
	a.into(w, &created)
	created.etag = a.header.Get("ETag")
	return created
}

// newDeletedProduct creates and deletes a product.
func (w *testContext) newDeletedProduct() product {
	w.t.Helper()
	p := w.newProduct(1)
	w.must("DELETE /products/{productId}", http.StatusNoContent, call{as: w.manager, args: []any{p.ID}})
	return p
}

// newReservedProduct creates a product and reserves a part of its stock manually.
func (w *testContext) newReservedProduct(quantity, held int64) product {
	w.t.Helper()
	p := w.newProduct(quantity)
	w.must("POST /stock/{productId}/reserve/{quantity}", http.StatusOK, call{as: w.manager, args: []any{p.ID, held}})
	return p
}

// sale is a sale.
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

func orderBody(lines ...line) map[string]any { return map[string]any{"items": lines} }

func holdBody(lines ...line) map[string]any { return map[string]any{"items": lines, "hold": true} }

// place creates a sale.
func (w *testContext) place(as *session, body map[string]any, header ...string) sale {
	w.t.Helper()
	a := w.must("POST /sales", http.StatusAccepted, call{as: as, body: body, header: header})
	var created sale
	a.into(w, &created)
	return created
}

// getSale returns a sale.
func (w *testContext) getSale(as *session, id int64) sale {
	w.t.Helper()
	var now sale
	w.must("GET /sales/{id}", http.StatusOK, call{as: as, args: []any{id}}).into(w, &now)
	return now
}

// awaitStatus waits until a sale has the status, and returns it.
func (w *testContext) awaitStatus(as *session, id int64, status string) sale {
	w.t.Helper()
	var now sale
	w.waitUntil(fmt.Sprintf("sale %d is %s", id, status), func() bool {
		now = w.getSale(as, id)
		return now.Status == status
	})
	return now
}

// newConfirmedSale creates a sale of ann and waits until it is confirmed.
func (w *testContext) newConfirmedSale() sale {
	w.t.Helper()
	created := w.place(w.ann, orderBody(line{ProductID: w.newProduct(5).ID, Quantity: 2}))
	return w.awaitStatus(w.ann, created.ID, "Confirmed")
}

// newHold creates a hold of ann and waits until its stock is reserved.
func (w *testContext) newHold() sale {
	w.t.Helper()
	return w.newHoldOf(w.newProduct(5).ID)
}

func (w *testContext) newHoldOf(productID int64) sale {
	w.t.Helper()
	created := w.place(w.ann, holdBody(line{ProductID: productID, Quantity: 2}))
	var now sale
	w.waitUntil("the stock is reserved", func() bool {
		now = w.getSale(w.ann, created.ID)
		return now.TotalAmount != ""
	})
	return now
}

// getStock returns the stock of a product.
func (w *testContext) getStock(id int64) stock {
	w.t.Helper()
	var now stock
	w.must("GET /stock/{productId}", http.StatusOK, call{as: w.manager, args: []any{id}}).into(w, &now)
	return now
}

// stock is the stock of a product.
type stock struct {
	ProductID                                            int64
	QuantityAvailable, QuantityReserved, QuantityRemoved int64
}

// salesOf returns the sales of a product among the newest 200 of a client.
func (w *testContext) salesOf(as *session, productID int64) []sale {
	w.t.Helper()
	var list struct{ Items []sale }
	w.must("GET /sales", http.StatusOK, call{as: as, query: "limit=200"}).into(w, &list)
	return slices.DeleteFunc(list.Items, func(s sale) bool { return s.Items[0].ProductID != productID })
}
