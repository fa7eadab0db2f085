package contract

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// productRules returns the rules of the catalog and its stock.
func productRules() []rule {
	return []rule{
		{"products/an update changes the ETag", nil, func(w *testContext) {
			p := w.newProduct(1)
			read := call{args: []any{p.ID}, header: []string{"If-None-Match", p.etag}}
			w.must("GET /products/{productId}", http.StatusNotModified, read)
			changed := w.must("PUT /products", http.StatusOK, call{as: w.manager, body: map[string]any{"productId": p.ID, "price": "1.00"}})
			if changed.header.Get("ETag") == p.etag {
				w.t.Error("the update did not change the ETag")
			}
			w.waitUntil("the update is visible", func() bool { return w.send("GET /products/{productId}", read).status == http.StatusOK })
		}},
		{"products/one of concurrent updates of a version succeeds", nil, concurrentUpdates},
		{"products/If-Match * matches any version", nil, func(w *testContext) {
			w.must("PUT /products", http.StatusOK, call{as: w.manager, header: []string{"If-Match", "*"},
				body: map[string]any{"productId": w.newProduct(1).ID, "description": "Any."}})
		}},
		{"products/the ETag of a compressed response is valid for an update", nil, func(w *testContext) {
			p := w.newProductOf(map[string]any{"name": "Lamp", "price": "1.00", "description": strings.Repeat("Bright. ", 200)})
			read := w.must("GET /products/{productId}", http.StatusOK, call{args: []any{p.ID}}) // compressed, if the system supports it
			match := []string{"If-Match", read.header.Get("ETag")}
			w.must("GET /products/{productId}", http.StatusNotModified, call{args: []any{p.ID}, header: []string{"If-None-Match", match[1]}})
			w.must("PUT /products", http.StatusOK, call{as: w.manager, header: match, body: map[string]any{"productId": p.ID, "name": "Bulb"}})
			w.must("DELETE /products/{productId}", http.StatusPreconditionFailed, call{as: w.manager, header: match, args: []any{p.ID}})
		}},
		{"products/an update leaves other fields unchanged", nil, func(w *testContext) {
			p := w.newProduct(1)
			a := w.must("PUT /products", http.StatusOK, call{as: w.manager, body: map[string]any{"productId": p.ID, "description": ""}})
			hasField("name", p.Name)(w, a)
			hasField("price", p.Price)(w, a)
			hasField("description", "")(w, a)
		}},
		{"products/movements of a deleted product remain", nil, func(w *testContext) {
			p := w.newDeletedProduct()
			hasItems(1)(w, w.must("GET /stock/{productId}/movements", http.StatusOK, call{as: w.manager, args: []any{p.ID}}))
			w.waitUntil("the product is not listed", func() bool {
				return len(w.must("GET /products", http.StatusOK, call{query: "q=" + strings.Fields(p.Name)[1]}).list(w).Items) == 0
			})
		}},
		{"products/reads are cached and updates invalidate them", nil, cachedReads},
		{"products/lists are sorted", nil, sortedLists},
		{"stock/the ledger records kind, quantity and actor", nil, func(w *testContext) {
			p := w.newReservedProduct(5, 2)
			list := w.must("GET /stock/{productId}/movements", http.StatusOK, call{as: w.manager, args: []any{p.ID}}).list(w).Items
			want := []string{"received 5", "reserved 2"}
			for i, m := range list {
				if got := fmt.Sprintf("%v %v", m["kind"], m["quantity"]); i >= len(want) || got != want[i] || number(m["actorId"]) != w.manager.id {
					w.t.Errorf("movement %d is %v", i, m)
				}
			}
		}},
	}
}

// concurrentUpdates sends concurrent updates of one version.
func concurrentUpdates(w *testContext) {
	p := w.newProduct(1)
	var mu sync.Mutex
	counts := map[int]int{}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			a := w.send("PUT /products", call{as: w.manager, header: []string{"If-Match", p.etag},
				body: map[string]any{"productId": p.ID, "price": i}})
			mu.Lock()
			defer mu.Unlock()
			counts[a.status]++
		})
	}
	wg.Wait()
	if counts[http.StatusOK] != 1 || counts[http.StatusPreconditionFailed] != 3 {
		w.t.Errorf("4 updates of one version returned %v, want one 200 and three 412", counts)
	}
}

func cachedReads(w *testContext) {
	p := w.newProduct(1)
	read := call{args: []any{p.ID}}
	w.waitUntil("a response comes from the cache", func() bool {
		return strings.Contains(w.must("GET /products/{productId}", http.StatusOK, read).header.Get("Cache-Status"), "hit")
	})
	w.must("PUT /products", http.StatusOK, call{as: w.manager, body: map[string]any{"productId": p.ID, "price": "2.50"}})
	w.waitUntil("the new price is read", func() bool {
		return w.must("GET /products/{productId}", http.StatusOK, read).field(w, "price") == "2.50"
	})
	list := w.must("GET /products", http.StatusOK, call{query: "inStock=true&q=" + strings.Fields(p.Name)[1]})
	if strings.Contains(list.header.Get("Cache-Status"), "hit") {
		w.t.Error("a list by availability came from the cache")
	}
}

func sortedLists(w *testContext) {
	mark := unique()
	for _, p := range [][2]string{{"b", "2.00"}, {"c", "1.00"}, {"a", "3.00"}} {
		w.newNamedProduct(p[0]+" "+mark, p[1])
	}
	for sort, want := range map[string]string{"": "b c a", "name": "a b c", "price": "c b a", "-price": "a b c", "-createdAt": "a c b"} {
		query := "q=" + mark
		if sort != "" {
			query += "&sort=" + sort
		}
		var got []string
		for _, item := range w.must("GET /products", http.StatusOK, call{query: query}).list(w).Items {
			got = append(got, strings.Fields(fmt.Sprint(item["name"]))[0])
		}
		if strings.Join(got, " ") != want {
			w.t.Errorf("by %q the order is %v, want %s", sort, got, want)
		}
	}
}
