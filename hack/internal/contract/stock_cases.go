package contract

import (
	"fmt"
	"slices"
)

// stockCases returns the cases of the inventory.
func stockCases() []testCase {
	of := func(p func(w *testContext) product, more ...any) func(*testContext) call {
		return func(w *testContext) call { return call{as: w.manager, args: append([]any{p(w).ID}, more...)} }
	}
	ten := func(w *testContext) product { return w.newProduct(10) }
	fourReserved := func(w *testContext) product { return w.newReservedProduct(10, 4) }
	unknown := func(*testContext) product { return product{ID: unknownID} }
	quantities := func(available, reserved, removed int) check {
		return func(w *testContext, a *response) {
			w.t.Helper()
			for name, want := range map[string]int{"quantityAvailable": available, "quantityReserved": reserved, "quantityRemoved": removed} {
				hasField(name, fmt.Sprint(want))(w, a)
			}
			hasFields("productId", "updatedAt")(w, a)
		}
	}
	const receive, reserve = "POST /stock/{productId}/receive/{quantity}", "POST /stock/{productId}/reserve/{quantity}"
	const release, remove = "POST /stock/{productId}/release/{quantity}", "DELETE /stock/{productId}/remove/{quantity}"
	cases := slices.Concat(
		operation("GET /stock/{productId}",
			expect(200, "", of(fourReserved), quantities(6, 4, 0)),
			expect(404, "", of(unknown), hasCode("product_not_found"))),
		operation("GET /stock/{productId}/available",
			expect(200, "", of(fourReserved), hasField("quantityAvailable", "6"), hasFields("productId")),
			expect(404, "", of(unknown), hasCode("product_not_found"))),
		operation(receive,
			expect(200, "", of(ten, 5), quantities(15, 0, 0)),
			expect(404, "", of(unknown, 1), hasCode("product_not_found"))),
		operation(reserve,
			expect(200, "", of(ten, 10), quantities(0, 10, 0)),
			expect(404, "", of(unknown, 1), hasCode("product_not_found")),
			expect(409, "insufficient_stock", of(ten, 11), hasCode("insufficient_stock"), hasField("available", "10"))),
		operation(release,
			expect(200, "", of(fourReserved, 3), quantities(9, 1, 0)),
			expect(404, "", of(unknown, 1), hasCode("product_not_found")),
			expect(409, "insufficient_reserved", of(fourReserved, 5), hasCode("insufficient_reserved")),
			expect(409, "reserved by a sale", of(productOfHold, 2), hasCode("insufficient_reserved"))),
		operation(remove,
			expect(200, "", of(fourReserved, 3), quantities(6, 1, 3)),
			expect(404, "", of(unknown, 1), hasCode("product_not_found")),
			expect(409, "insufficient_reserved", of(fourReserved, 5), hasCode("insufficient_reserved")),
			expect(409, "reserved by a sale", of(productOfHold, 2), hasCode("insufficient_reserved"))),
		operation("GET /stock/{productId}/movements",
			expect(200, "", of(fourReserved), hasItems(2)),
			expect(404, "", of(unknown), hasCode("product_not_found"))),
		operation("GET /stock/audit",
			expect(200, "", func(w *testContext) call { return call{as: w.manager} }, hasField("violations", "[]"), hasFields("products", "movements"))),
	)
	for _, op := range []string{receive, reserve, release, remove} {
		for _, quantity := range []any{0, -1, "ten", "1.5", 1_000_000_001, "99999999999999999999"} {
			cases = append(cases, operation(op, expect(422, fmt.Sprintf("quantity %v", quantity), of(ten, quantity), hasErrorsAt("path.quantity")))...)
		}
	}
	return cases
}

// productOfHold returns a product of which a hold reserves 2.
func productOfHold(w *testContext) product {
	p := w.newProduct(10)
	w.newHoldOf(p.ID)
	return p
}
