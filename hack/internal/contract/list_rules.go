package contract

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// listRules returns the rules of lists.
func listRules() []rule {
	rules := []rule{
		{"lists/last page has no cursor", nil, func(w *testContext) {
			w.t.Helper()
			mark := unique()
			for range 3 {
				w.newNamedProduct(mark, "1.00")
			}
			query := "q=" + mark + "&limit=3"
			if p := w.must("GET /products", http.StatusOK, call{query: query}).list(w); len(p.Items) != 3 || !p.IsLast {
				w.t.Errorf("a page of all items has %d items and nextCursor %q, want 3 and none", len(p.Items), p.NextCursor)
			}
		}},
		{"lists/50 by default", nil, func(w *testContext) {
			as := w.newUser()
			for range 51 {
				w.place(as, orderBody(line{ProductID: unknownID, Quantity: 1}))
			}
			p := w.must("GET /sales", http.StatusOK, call{as: as}).list(w)
			if len(p.Items) != 50 || p.IsLast {
				w.t.Errorf("%d items, last page %v; want 50 and a nextCursor", len(p.Items), p.IsLast)
			}
			if p := w.must("GET /sales", http.StatusOK, call{as: as, query: "limit=200"}).list(w); len(p.Items) != 51 || !p.IsLast {
				w.t.Errorf("with limit 200: %d items, last page %v; want all 51", len(p.Items), p.IsLast)
			}
		}},
		{"lists/sales are newest first", nil, func(w *testContext) {
			for range 3 {
				w.place(w.bob, orderBody(line{ProductID: unknownID, Quantity: 1}))
			}
			ids := idsOf(w.must("GET /sales", http.StatusOK, call{as: w.bob}).list(w).Items)
			if newest := slices.Sorted(slices.Values(ids)); !slices.Equal(ids, reversed(newest)) {
				w.t.Errorf("ids are %v, want the newest first", ids)
			}
		}},
		{"lists/paging sales", nil, func(w *testContext) {
			add := func() int64 { return w.place(w.bob, orderBody(line{ProductID: unknownID, Quantity: 1})).ID }
			w.checkPaging("GET /sales", call{as: w.bob}, add, nil)
			w.checkPaging("GET /admin/sales", call{as: w.manager, query: fmt.Sprintf("customerId=%d", w.bob.id)}, add, nil)
		}},
		{"lists/paging movements", nil, func(w *testContext) {
			p := w.newProduct(1)
			w.checkPaging("GET /stock/{productId}/movements", call{as: w.manager, args: []any{p.ID}}, func() int64 {
				w.must("POST /stock/{productId}/receive/{quantity}", http.StatusOK, call{as: w.manager, args: []any{p.ID, 1}})
				return 0
			}, nil)
		}},
		{"lists/paging a timeline", nil, func(w *testContext) {
			c := call{as: w.ann, args: []any{w.newConfirmedSale().ID}}
			var all []int64
			w.waitUntil("the reservation is removed", func() bool {
				a := w.must("GET /sales/{id}/events", http.StatusOK, c)
				all = idsOf(a.list(w).Items)
				return strings.Contains(string(a.body), `"StockReleased"`)
			})
			if paged := w.readPages("GET /sales/{id}/events", c, 1, nil); !slices.Equal(paged, all) {
				w.t.Errorf("paged %v, all at once %v", paged, all)
			}
		}},
	}
	for _, sort := range []string{"id", "name", "price", "-price", "-createdAt"} {
		rules = append(rules, rule{"lists/paging products by " + sort, nil, func(w *testContext) { w.checkProductPaging(sort) }})
	}
	return rules
}

// checkProductPaging checks paging while products are added and removed before and
// after the page.
func (w *testContext) checkProductPaging(sort string) {
	mark := unique()
	n := 0
	add := func() int64 {
		n++
		// Names and prices are lower and higher than existing ones, and repeat.
		return w.newNamedProduct(fmt.Sprintf("%d %s", n*7%5, mark), fmt.Sprintf("%d.00", n*7%5)).ID
	}
	remove := func(id int64) {
		w.must("DELETE /products/{productId}", http.StatusNoContent, call{as: w.manager, args: []any{id}})
	}
	w.checkPaging("GET /products", call{query: "q=" + url.QueryEscape(mark) + "&sort=" + url.QueryEscape(sort)}, add, remove)
}

func (w *testContext) newNamedProduct(name, price string) product {
	w.t.Helper()
	return w.newProductOf(map[string]any{"name": name, "price": price})
}

// checkPaging checks that rows that are added or removed between two pages do not
// cause repeated or missing rows: every row that exists during the whole iteration is
// read exactly once.
func (w *testContext) checkPaging(op string, c call, add func() int64, remove func(id int64)) {
	w.t.Helper()
	for range 6 {
		add()
	}
	whole := call{as: c.as, args: c.args, query: appendQuery(c.query, "limit=200")}
	stay := idsOf(w.must(op, http.StatusOK, whole).list(w).Items)
	seen := w.readPages(op, c, 2, func(page []int64) {
		add()
		if remove == nil || len(page) == 0 {
			return
		}
		remove(page[len(page)-1]) // the position of the cursor
		stay = slices.DeleteFunc(stay, func(id int64) bool { return id == page[len(page)-1] })
	})
	once := slices.Compact(slices.Sorted(slices.Values(seen)))
	if len(once) != len(seen) {
		w.t.Errorf("%s read rows twice: %v", op, seen)
	}
	for _, id := range stay {
		if !slices.Contains(seen, id) {
			w.t.Errorf("%s did not return %d, which existed all the time; read %v", op, id, seen)
		}
	}
}

// readPages reads a list page by page and returns the IDs. It calls between after each
// of the first three pages.
func (w *testContext) readPages(op string, c call, limit int, between func(page []int64)) []int64 {
	w.t.Helper()
	var seen []int64
	query, cursor := c.query, ""
	for pages := 1; ; pages++ {
		c.query = appendQuery(query, fmt.Sprintf("limit=%d", limit))
		if cursor != "" {
			c.query += "&cursor=" + url.QueryEscape(cursor)
		}
		p := w.must(op, http.StatusOK, c).list(w)
		if len(p.Items) > limit {
			w.t.Fatalf("a page of %d has %d items", limit, len(p.Items))
		}
		seen = append(seen, idsOf(p.Items)...)
		if cursor = p.NextCursor; p.IsLast {
			return seen
		}
		if between != nil && pages <= 3 {
			between(idsOf(p.Items))
		}
	}
}

func appendQuery(query, more string) string {
	if query == "" {
		return more
	}
	return query + "&" + more
}

func idsOf(items []map[string]any) []int64 {
	ids := make([]int64, len(items))
	for i, item := range items {
		ids[i] = number(item["id"])
	}
	return ids
}

func reversed(ids []int64) []int64 {
	out := slices.Clone(ids)
	slices.Reverse(out)
	return out
}
