package contract

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// productRules hold for the catalogue and its stock.
func productRules() []rule {
	return []rule{
		{"products/a change has another ETag", nil, func(w *world) {
			p := w.product(1)
			read := call{args: []any{p.ID}, header: []string{"If-None-Match", p.etag}}
			w.must("GET /products/{productId}", http.StatusNotModified, read)
			changed := w.must("PUT /products", http.StatusOK, call{as: w.manager, body: map[string]any{"productId": p.ID, "price": "1.00"}})
			if changed.header.Get("ETag") == p.etag {
				w.t.Error("the ETag is the one from before the change")
			}
			w.until("the change is seen", func() bool { return w.send("GET /products/{productId}", read).status == http.StatusOK })
		}},
		{"products/of two changes to one version one wins", nil, contended},
		{"products/If-Match * is any version", nil, func(w *world) {
			w.must("PUT /products", http.StatusOK, call{as: w.manager, header: []string{"If-Match", "*"},
				body: map[string]any{"productId": w.product(1).ID, "description": "Any."}})
		}},
		{"products/the ETag of a compressed read is good for a change", nil, func(w *world) {
			p := w.productOf(map[string]any{"name": "Lamp", "price": "1.00", "description": strings.Repeat("Bright. ", 200)})
			read := w.must("GET /products/{productId}", http.StatusOK, call{args: []any{p.ID}}) // as gzip, if the store can
			match := []string{"If-Match", read.header.Get("ETag")}
			w.must("GET /products/{productId}", http.StatusNotModified, call{args: []any{p.ID}, header: []string{"If-None-Match", match[1]}})
			w.must("PUT /products", http.StatusOK, call{as: w.manager, header: match, body: map[string]any{"productId": p.ID, "name": "Bulb"}})
			w.must("DELETE /products/{productId}", http.StatusPreconditionFailed, call{as: w.manager, header: match, args: []any{p.ID}})
		}},
		{"products/a change leaves the rest", nil, func(w *world) {
			p := w.product(1)
			a := w.must("PUT /products", http.StatusOK, call{as: w.manager, body: map[string]any{"productId": p.ID, "description": ""}})
			has("name", p.Name)(w, a)
			has("price", p.Price)(w, a)
			has("description", "")(w, a)
		}},
		{"products/a deleted one keeps its history", nil, func(w *world) {
			p := w.removed()
			items(1)(w, w.must("GET /stock/{productId}/movements", http.StatusOK, call{as: w.manager, args: []any{p.ID}}))
			w.until("it left the list", func() bool {
				return len(w.must("GET /products", http.StatusOK, call{query: "q=" + strings.Fields(p.Name)[1]}).list(w).Items) == 0
			})
		}},
		{"products/reads are kept, and changes seen", nil, kept},
		{"products/sorted as asked", nil, sorted},
		{"stock/the ledger tells what was done by whom", nil, func(w *world) {
			p := w.reserved(5, 2)
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

// contended sends two changes to one version at once.
func contended(w *world) {
	p := w.product(1)
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
		w.t.Errorf("4 changes to one version got %v, want one 200 and three 412", counts)
	}
}

func kept(w *world) {
	p := w.product(1)
	read := call{args: []any{p.ID}}
	w.until("an answer comes from the cache", func() bool {
		return strings.Contains(w.must("GET /products/{productId}", http.StatusOK, read).header.Get("Cache-Status"), "hit")
	})
	w.must("PUT /products", http.StatusOK, call{as: w.manager, body: map[string]any{"productId": p.ID, "price": "2.50"}})
	w.until("the new price is read", func() bool {
		return w.must("GET /products/{productId}", http.StatusOK, read).field(w, "price") == "2.50"
	})
	list := w.must("GET /products", http.StatusOK, call{query: "inStock=true&q=" + strings.Fields(p.Name)[1]})
	if strings.Contains(list.header.Get("Cache-Status"), "hit") {
		w.t.Error("a list by availability came from the cache")
	}
}

func sorted(w *world) {
	mark := unique()
	for _, p := range [][2]string{{"b", "2.00"}, {"c", "1.00"}, {"a", "3.00"}} {
		w.named(p[0]+" "+mark, p[1])
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
