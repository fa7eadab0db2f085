package contract

import (
	"fmt"
	"slices"
)

// stockRows are the rows of the inventory.
func stockRows() []row {
	of := func(p func(w *world) product, more ...any) func(*world) call {
		return func(w *world) call { return call{as: w.manager, args: append([]any{p(w).ID}, more...)} }
	}
	ten := func(w *world) product { return w.product(10) }
	someHeld := func(w *world) product { return w.reserved(10, 4) }
	unknown := func(*world) product { return product{ID: nowhere} }
	quantities := func(available, reserved, removed int) check {
		return func(w *world, a *answer) {
			w.t.Helper()
			for name, want := range map[string]int{"quantityAvailable": available, "quantityReserved": reserved, "quantityRemoved": removed} {
				has(name, fmt.Sprint(want))(w, a)
			}
			filled("productId", "updatedAt")(w, a)
		}
	}
	const receive, reserve = "POST /stock/{productId}/receive/{quantity}", "POST /stock/{productId}/reserve/{quantity}"
	const release, remove = "POST /stock/{productId}/release/{quantity}", "DELETE /stock/{productId}/remove/{quantity}"
	rows := slices.Concat(
		on("GET /stock/{productId}",
			gets(200, "", of(someHeld), quantities(6, 4, 0)),
			gets(404, "", of(unknown), code("product_not_found"))),
		on("GET /stock/{productId}/available",
			gets(200, "", of(someHeld), has("quantityAvailable", "6"), filled("productId")),
			gets(404, "", of(unknown), code("product_not_found"))),
		on(receive,
			gets(200, "", of(ten, 5), quantities(15, 0, 0)),
			gets(404, "", of(unknown, 1), code("product_not_found"))),
		on(reserve,
			gets(200, "", of(ten, 10), quantities(0, 10, 0)),
			gets(404, "", of(unknown, 1), code("product_not_found")),
			gets(409, "insufficient_stock", of(ten, 11), code("insufficient_stock"), has("available", "10"))),
		on(release,
			gets(200, "", of(someHeld, 3), quantities(9, 1, 0)),
			gets(404, "", of(unknown, 1), code("product_not_found")),
			gets(409, "insufficient_reserved", of(someHeld, 5), code("insufficient_reserved")),
			gets(409, "what a sale holds", of(heldBySale, 2), code("insufficient_reserved"))),
		on(remove,
			gets(200, "", of(someHeld, 3), quantities(6, 1, 3)),
			gets(404, "", of(unknown, 1), code("product_not_found")),
			gets(409, "insufficient_reserved", of(someHeld, 5), code("insufficient_reserved")),
			gets(409, "what a sale holds", of(heldBySale, 2), code("insufficient_reserved"))),
		on("GET /stock/{productId}/movements",
			gets(200, "", of(someHeld), items(2)),
			gets(404, "", of(unknown), code("product_not_found"))),
		on("GET /stock/audit",
			gets(200, "", func(w *world) call { return call{as: w.manager} }, has("violations", "[]"), filled("products", "movements"))),
	)
	for _, op := range []string{receive, reserve, release, remove} {
		for _, quantity := range []any{0, -1, "ten", "1.5", 1_000_000_001, "99999999999999999999"} {
			rows = append(rows, on(op, gets(422, fmt.Sprintf("quantity %v", quantity), of(ten, quantity), at("path.quantity")))...)
		}
	}
	return rows
}

// heldBySale is a product of which a sale holds 2.
func heldBySale(w *world) product {
	p := w.product(10)
	w.onHoldOf(p.ID)
	return p
}
