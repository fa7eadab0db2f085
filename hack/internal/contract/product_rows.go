package contract

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// productRows are the rows of the catalogue.
func productRows() []row {
	rows := slices.Concat(
		on("GET /products",
			gets(200, "", func(*world) call { return call{query: "limit=2"} }, filled("items"), sends("ETag")),
			gets(200, "filters", func(w *world) call {
				p := w.product(1)
				return call{query: "minPrice=19.99&maxPrice=19.99&inStock=true&sort=name&q=" + url.QueryEscape(strings.ToUpper(p.Name))}
			}, items(1)),
			gets(200, "nothing in stock", func(w *world) call {
				return call{query: "inStock=true&q=" + url.QueryEscape(w.product(0).Name)}
			}, items(0)),
			gets(304, "", func(w *world) call {
				query := "q=" + url.QueryEscape(w.product(1).Name)
				return call{query: query, header: []string{"If-None-Match", w.must("GET /products", 200, call{query: query}).header.Get("ETag")}}
			}),
			gets(200, "another ETag", func(*world) call { return call{header: []string{"If-None-Match", `"other"`}} }, filled("items")),
		),
		on("GET /products/{productId}",
			gets(200, "", func(w *world) call { return call{args: []any{w.product(1).ID}} },
				has("price", "19.99"), filled("id", "name", "currency", "createdAt", "updatedAt"), sends("ETag")),
			gets(304, "", func(w *world) call {
				p := w.product(1)
				return call{args: []any{p.ID}, header: []string{"If-None-Match", p.etag}}
			}, sends("ETag")),
			gets(200, "another ETag", func(w *world) call {
				return call{args: []any{w.product(1).ID}, header: []string{"If-None-Match", `"other"`}}
			}),
			gets(404, "", func(*world) call { return call{args: []any{nowhere}} }, code("product_not_found")),
			gets(404, "deleted", func(w *world) call { return call{args: []any{w.removed().ID}} }, code("product_not_found")),
			gets(422, "not a number", func(*world) call { return call{args: []any{"desk"}} }, at("path.productId")),
		),
		on("POST /products",
			gets(201, "", func(w *world) call { return call{as: w.manager, body: desk(3)} },
				has("price", "19.99"), filled("id", "currency", "createdAt", "updatedAt"), sends("ETag"), located("/products/")),
			gets(422, "no name", func(w *world) call {
				return call{as: w.manager, body: map[string]any{"price": "1.00"}}
			}, at("body.name")),
		),
		on("PUT /products",
			gets(200, "price", func(w *world) call {
				return call{as: w.manager, body: map[string]any{"productId": w.product(1).ID, "price": "5.00"}}
			}, has("price", "5.00"), has("description", "Oiled."), sends("ETag")),
			gets(200, "If-Match", func(w *world) call {
				p := w.product(1)
				return call{as: w.manager, header: []string{"If-Match", p.etag}, body: map[string]any{"productId": p.ID, "name": "Table"}}
			}, has("name", "Table"), has("price", "19.99")),
			gets(404, "", func(w *world) call {
				return call{as: w.manager, body: map[string]any{"productId": nowhere, "price": "5.00"}}
			}, code("product_not_found")),
			gets(412, "stale If-Match", func(w *world) call {
				p := w.product(1)
				change := map[string]any{"productId": p.ID, "price": "5.00"}
				w.must("PUT /products", 200, call{as: w.manager, body: change})
				return call{as: w.manager, header: []string{"If-Match", p.etag}, body: change}
			}),
			gets(422, "no productId", func(w *world) call {
				return call{as: w.manager, body: map[string]any{"price": "1.00"}}
			}, at("body.productId")),
		),
		on("DELETE /products/{productId}",
			gets(204, "", func(w *world) call { return call{as: w.manager, args: []any{w.product(1).ID}} }),
			gets(204, "If-Match", func(w *world) call {
				p := w.product(1)
				return call{as: w.manager, args: []any{p.ID}, header: []string{"If-Match", p.etag}}
			}),
			gets(404, "", func(w *world) call { return call{as: w.manager, args: []any{nowhere}} }, code("product_not_found")),
			gets(404, "again", func(w *world) call { return call{as: w.manager, args: []any{w.removed().ID}} }, code("product_not_found")),
			gets(412, "stale If-Match", func(w *world) call {
				p := w.product(1)
				w.must("PUT /products", 200, call{as: w.manager, body: map[string]any{"productId": p.ID, "price": "5.00"}})
				return call{as: w.manager, args: []any{p.ID}, header: []string{"If-Match", p.etag}}
			}),
		),
	)
	return slices.Concat(rows, productForms())
}

// productForms are the bounds of a product's values.
func productForms() []row {
	var rows []row
	add := func(op string, r row) { rows = append(rows, on(op, r)...) }
	for _, q := range []string{"limit=many", "sort=size", "inStock=maybe", "minPrice=cheap", "maxPrice=1.001", "minPrice=10000000"} {
		name, _, _ := strings.Cut(q, "=")
		add("GET /products", gets(422, q, func(*world) call { return call{query: q} }, at("query."+name)))
	}
	for _, price := range []struct {
		in  any
		out string
	}{{"0", "0.00"}, {"19.9", "19.90"}, {19.9, "19.90"}, {7, "7.00"}, {"9999999.99", "9999999.99"}} {
		add("POST /products", gets(201, fmt.Sprintf("price %T %v", price.in, price.in),
			makes("price", price.in), has("price", price.out)))
	}
	for _, price := range []any{"-0.01", "10000000.00", 10000000, "1.001", "1,00", "free", "1e2", nil, true} {
		add("POST /products", gets(422, fmt.Sprintf("price %v", price), makes("price", price), at("body.price")))
	}
	for name, bad := range map[string][]any{
		"name":            {"", strings.Repeat("x", 201), 7},
		"description":     {strings.Repeat("x", 2001)},
		"initialQuantity": {-1, 1_000_000_001, 1.5, "3"},
	} {
		for i, value := range bad {
			add("POST /products", gets(422, fmt.Sprintf("%s %d", name, i), makes(name, value), at("body."+name)))
		}
	}
	for name, good := range map[string]any{
		"name": strings.Repeat("ü", 200), "description": strings.Repeat("ü", 2000), "initialQuantity": 1_000_000_000,
	} {
		add("POST /products", gets(201, "longest "+name, makes(name, good)))
	}
	return rows
}

// makes adds a product with one value in place of a good one.
func makes(name string, value any) func(*world) call {
	return func(w *world) call {
		body := desk(1)
		body[name] = value
		return call{as: w.manager, body: body}
	}
}

// items demands a list of so many.
func items(want int) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		if got := len(a.list(w).Items); got != want {
			w.t.Errorf("%d items, want %d\n%s", got, want, shorten(a.body))
		}
	}
}

// located demands a Location that is the prefix and the id of the answer.
func located(prefix string) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		header("Location", prefix+a.field(w, "id"))(w, a)
	}
}
