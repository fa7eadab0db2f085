package contract

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// productCases returns the cases of the catalog.
func productCases() []testCase {
	cases := slices.Concat(
		operation("GET /products",
			expect(200, "", func(*testContext) call { return call{query: "limit=2"} }, hasFields("items"), hasHeaders("ETag")),
			expect(200, "filters", func(w *testContext) call {
				p := w.newProduct(1)
				return call{query: "minPrice=19.99&maxPrice=19.99&inStock=true&sort=name&q=" + url.QueryEscape(strings.ToUpper(p.Name))}
			}, hasItems(1)),
			expect(200, "nothing in stock", func(w *testContext) call {
				return call{query: "inStock=true&q=" + url.QueryEscape(w.newProduct(0).Name)}
			}, hasItems(0)),
			expect(304, "", func(w *testContext) call {
				query := "q=" + url.QueryEscape(w.newProduct(1).Name)
				return call{query: query, header: []string{"If-None-Match", w.must("GET /products", 200, call{query: query}).header.Get("ETag")}}
			}),
			expect(200, "another ETag", func(*testContext) call { return call{header: []string{"If-None-Match", `"other"`}} }, hasFields("items")),
		),
		operation("GET /products/{productId}",
			expect(200, "", func(w *testContext) call { return call{args: []any{w.newProduct(1).ID}} },
				hasField("price", "19.99"), hasFields("id", "name", "currency", "createdAt", "updatedAt"), hasHeaders("ETag")),
			expect(304, "", func(w *testContext) call {
				p := w.newProduct(1)
				return call{args: []any{p.ID}, header: []string{"If-None-Match", p.etag}}
			}, hasHeaders("ETag")),
			expect(200, "another ETag", func(w *testContext) call {
				return call{args: []any{w.newProduct(1).ID}, header: []string{"If-None-Match", `"other"`}}
			}),
			expect(404, "", func(*testContext) call { return call{args: []any{unknownID}} }, hasCode("product_not_found")),
			expect(404, "deleted", func(w *testContext) call { return call{args: []any{w.newDeletedProduct().ID}} }, hasCode("product_not_found")),
			expect(422, "not a number", func(*testContext) call { return call{args: []any{"desk"}} }, hasErrorsAt("path.productId")),
		),
		operation("POST /products",
			expect(201, "", func(w *testContext) call { return call{as: w.manager, body: deskBody(3)} },
				hasField("price", "19.99"), hasFields("id", "currency", "createdAt", "updatedAt"), hasHeaders("ETag"), hasLocation("/products/")),
			expect(422, "names that are not one visible line", func(w *testContext) call {
				return call{as: w.manager, body: map[string]any{"price": "1.00", "name": "\u200d\u3164", "description": "a\x00b"}}
			}, hasErrorsAt("body.name", "body.description")),
			expect(422, "no name", func(w *testContext) call {
				return call{as: w.manager, body: map[string]any{"price": "1.00"}}
			}, hasErrorsAt("body.name")),
		),
		operation("PUT /products",
			expect(200, "price", func(w *testContext) call {
				return call{as: w.manager, body: map[string]any{"productId": w.newProduct(1).ID, "price": "5.00"}}
			}, hasField("price", "5.00"), hasField("description", "Oiled."), hasHeaders("ETag")),
			expect(200, "If-Match", func(w *testContext) call {
				p := w.newProduct(1)
				return call{as: w.manager, header: []string{"If-Match", p.etag}, body: map[string]any{"productId": p.ID, "name": "Table"}}
			}, hasField("name", "Table"), hasField("price", "19.99")),
			expect(404, "", func(w *testContext) call {
				return call{as: w.manager, body: map[string]any{"productId": unknownID, "price": "5.00"}}
			}, hasCode("product_not_found")),
			expect(412, "If-None-Match", func(w *testContext) call {
				return call{as: w.manager, header: []string{"If-None-Match", "*"}, body: map[string]any{"productId": w.newProduct(1).ID, "price": "5.00"}}
			}, hasCode("stale_version")),
			expect(422, "price null", func(w *testContext) call {
				return call{as: w.manager, body: map[string]any{"productId": w.newProduct(1).ID, "price": nil}}
			}, hasErrorsAt("body.price")),
			expect(412, "stale If-Match", func(w *testContext) call {
				p := w.newProduct(1)
				change := map[string]any{"productId": p.ID, "price": "5.00"}
				w.must("PUT /products", 200, call{as: w.manager, body: change})
				return call{as: w.manager, header: []string{"If-Match", p.etag}, body: change}
			}),
			expect(422, "no productId", func(w *testContext) call {
				return call{as: w.manager, body: map[string]any{"price": "1.00"}}
			}, hasErrorsAt("body.productId")),
		),
		operation("DELETE /products/{productId}",
			expect(204, "", func(w *testContext) call { return call{as: w.manager, args: []any{w.newProduct(1).ID}} }),
			expect(204, "If-Match", func(w *testContext) call {
				p := w.newProduct(1)
				return call{as: w.manager, args: []any{p.ID}, header: []string{"If-Match", p.etag}}
			}),
			expect(404, "", func(w *testContext) call { return call{as: w.manager, args: []any{unknownID}} }, hasCode("product_not_found")),
			expect(404, "again", func(w *testContext) call { return call{as: w.manager, args: []any{w.newDeletedProduct().ID}} }, hasCode("product_not_found")),
			expect(412, "stale If-Match", func(w *testContext) call {
				p := w.newProduct(1)
				w.must("PUT /products", 200, call{as: w.manager, body: map[string]any{"productId": p.ID, "price": "5.00"}})
				return call{as: w.manager, args: []any{p.ID}, header: []string{"If-Match", p.etag}}
			}),
		),
	)
	return slices.Concat(cases, productLimitCases())
}

// productLimitCases returns the cases of the limits of a product's values.
func productLimitCases() []testCase {
	var cases []testCase
	add := func(op string, r testCase) { cases = append(cases, operation(op, r)...) }
	for _, q := range []string{"limit=many", "sort=size", "inStock=maybe", "minPrice=cheap", "maxPrice=1.001", "minPrice=10000000"} {
		name, _, _ := strings.Cut(q, "=")
		add("GET /products", expect(422, q, func(*testContext) call { return call{query: q} }, hasErrorsAt("query."+name)))
	}
	for _, price := range []struct {
		in  any
		out string
	}{{"0", "0.00"}, {"19.9", "19.90"}, {19.9, "19.90"}, {7, "7.00"}, {"9999999.99", "9999999.99"}, {9999999.99, "9999999.99"},
		{json.Number("1234567.89"), "1234567.89"}, {json.Number("1234567.890"), "1234567.89"}, {json.Number("1.23456789e6"), "1234567.89"}} {
		add("POST /products", expect(201, fmt.Sprintf("price %T %v", price.in, price.in),
			productWith("price", price.in), hasField("price", price.out)))
	}
	for _, price := range []any{"-0.01", "10000000.00", 10000000, "1.001", "1,00", "free", "1e2", nil, true,
		json.Number("1234567.891"), json.Number("9999999.9900000001"), json.Number("1e999999999")} {
		add("POST /products", expect(422, fmt.Sprintf("price %v", price), productWith("price", price), hasErrorsAt("body.price")))
	}
	for name, bad := range map[string][]any{
		"name":            {"", strings.Repeat("x", 201), 7},
		"description":     {strings.Repeat("x", 2001)},
		"initialQuantity": {-1, 1_000_000_001, 1.5, "3"},
	} {
		for i, value := range bad {
			add("POST /products", expect(422, fmt.Sprintf("%s %d", name, i), productWith(name, value), hasErrorsAt("body."+name)))
		}
	}
	for name, good := range map[string]any{
		"name": strings.Repeat("ü", 200), "description": strings.Repeat("ü", 2000), "initialQuantity": 1_000_000_000,
	} {
		add("POST /products", expect(201, "longest "+name, productWith(name, good)))
	}
	return cases
}

// productWith returns a request that creates a product with one changed value.
func productWith(name string, value any) func(*testContext) call {
	return func(w *testContext) call {
		body := deskBody(1)
		body[name] = value
		return call{as: w.manager, body: body}
	}
}

// hasItems checks the number of items of a list.
func hasItems(want int) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		if got := len(a.list(w).Items); got != want {
			w.t.Errorf("%d items, want %d\n%s", got, want, truncate(a.body))
		}
	}
}

// hasLocation checks that Location is the prefix and the ID in the body.
func hasLocation(prefix string) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		hasHeader("Location", prefix+a.field(w, "id"))(w, a)
	}
}
