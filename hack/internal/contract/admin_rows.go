package contract

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// adminRows are the rows of operations.
func adminRows() []row {
	const redrive, remove = "POST /admin/dead-letters/{id}/redrive", "DELETE /admin/dead-letters/{id}"
	gone := func(w *world) call { return call{as: w.manager, args: []any{nowhere}} }
	letter := func(w *world) call { return call{as: w.manager, args: []any{w.poisoned()}} }
	return slices.Concat(
		on("GET /admin/sales",
			gets(200, "", func(w *world) call { return call{as: w.manager, query: "limit=1"} }, filled("items")),
			gets(200, "customerId", func(w *world) call {
				w.confirmed()
				return call{as: w.manager, query: fmt.Sprintf("customerId=%d", w.ann.id)}
			}, func(w *world, a *answer) { each("customerId", fmt.Sprint(w.ann.id))(w, a) }),
			gets(200, "status and customerId", func(w *world) call {
				w.confirmed()
				return call{as: w.manager, query: fmt.Sprintf("status=Confirmed&customerId=%d", w.ann.id)}
			}, each("status", "Confirmed")),
			gets(200, "customer without sales", func(w *world) call {
				return call{as: w.manager, query: fmt.Sprintf("customerId=%d", nowhere)}
			}, items(0)),
			gets(422, "status", func(w *world) call { return call{as: w.manager, query: "status=Lost"} }, at("query.status")),
			gets(422, "customerId 0", func(w *world) call { return call{as: w.manager, query: "customerId=0"} }, at("query.customerId")),
		),
		on("GET /admin/dead-letters",
			gets(200, "", func(w *world) call { return call{as: w.manager, query: "limit=1"} }, filled("items")),
		),
		on(redrive, gets(204, "", letter).needing(breakable), gets(404, "", gone, code("dead_letter_not_found"))),
		on(remove, gets(204, "", letter).needing(breakable), gets(404, "", gone, code("dead_letter_not_found")),
			gets(404, "again", func(w *world) call {
				c := letter(w)
				w.must(remove, http.StatusNoContent, c)
				return c
			}, code("dead_letter_not_found")).needing(breakable)),
	)
}

// poisoned is a dead letter: a message that no service can handle.
func (w *world) poisoned() int64 {
	w.t.Helper()
	mark := unique()
	if err := w.Faults.Poison(w.ctx, `{"specversion":"1.0","`+mark); err != nil {
		w.t.Fatal(err)
	}
	var id int64
	w.until("the message is set aside", func() bool {
		for _, l := range w.must("GET /admin/dead-letters", http.StatusOK, call{as: w.manager}).list(w).Items {
			if strings.Contains(fmt.Sprint(l["body"]), mark) {
				id = number(l["id"])
			}
		}
		return id != 0
	})
	return id
}

// number of a decoded JSON value.
func number(v any) int64 {
	f, _ := v.(float64)
	return int64(f)
}
