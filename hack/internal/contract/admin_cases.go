package contract

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// adminCases returns the cases of the administrative operations.
func adminCases() []testCase {
	const redrive, remove = "POST /admin/dead-letters/{id}/redrive", "DELETE /admin/dead-letters/{id}"
	unknown := func(w *testContext) call { return call{as: w.manager, args: []any{unknownID}} }
	deadLetter := func(w *testContext) call { return call{as: w.manager, args: []any{w.newDeadLetter("")}} }
	return slices.Concat(
		operation("GET /admin/sales",
			expect(200, "", func(w *testContext) call { return call{as: w.manager, query: "limit=1"} }, hasFields("items")),
			expect(200, "customerId", func(w *testContext) call {
				w.newConfirmedSale()
				return call{as: w.manager, query: fmt.Sprintf("customerId=%d", w.ann.id)}
			}, func(w *testContext, a *response) { eachItem("customerId", fmt.Sprint(w.ann.id))(w, a) }),
			expect(200, "status and customerId", func(w *testContext) call {
				w.newConfirmedSale()
				return call{as: w.manager, query: fmt.Sprintf("status=Confirmed&customerId=%d", w.ann.id)}
			}, eachItem("status", "Confirmed")),
			expect(200, "customer without sales", func(w *testContext) call {
				return call{as: w.manager, query: fmt.Sprintf("customerId=%d", unknownID)}
			}, hasItems(0)),
			expect(422, "status", func(w *testContext) call { return call{as: w.manager, query: "status=Lost"} }, hasErrorsAt("query.status")),
			expect(422, "customerId 0", func(w *testContext) call { return call{as: w.manager, query: "customerId=0"} }, hasErrorsAt("query.customerId")),
		),
		operation("GET /admin/dead-letters",
			expect(200, "", func(w *testContext) call { return call{as: w.manager, query: "limit=1"} }, hasFields("items")),
		),
		operation(redrive, expect(204, "", deadLetter).requiring(faultInjection), expect(404, "", unknown, hasCode("dead_letter_not_found")),
			expect(409, "longer than is stored", func(w *testContext) call {
				return call{as: w.manager, args: []any{w.newDeadLetter(strings.Repeat("x", 64<<10))}}
			}, hasCode("dead_letter_incomplete")).requiring(faultInjection)),
		operation("POST /admin/dead-letters/redrive",
			expect(200, "", func(w *testContext) call {
				w.newDeadLetter("")
				return call{as: w.manager, body: map[string]any{"queue": "stock.sale-events", "limit": 1, "dryRun": true}}
			}, hasField("dryRun", "true"), hasFields("ids", "skipped", "more")).requiring(faultInjection),
			expect(200, "nothing matches", func(w *testContext) call {
				return call{as: w.manager, body: map[string]any{"eventType": unique()}}
			}, hasField("ids", "[]"), hasField("more", "false")),
			expect(422, "limit 0", func(w *testContext) call { return call{as: w.manager, body: map[string]any{"limit": 0}} }, hasErrorsAt("body.limit")),
			expect(422, "limit 501", func(w *testContext) call { return call{as: w.manager, body: map[string]any{"limit": 501}} }, hasErrorsAt("body.limit")),
			expect(422, "diedBefore", func(w *testContext) call { return call{as: w.manager, body: map[string]any{"diedBefore": "yesterday"}} }, hasErrorsAt("body.diedBefore")),
			expect(422, "unknown field", func(w *testContext) call { return call{as: w.manager, body: map[string]any{"type": "SaleCreated"}} }, hasErrorsAt("body.type")),
		),
		operation(remove, expect(204, "", deadLetter).requiring(faultInjection), expect(404, "", unknown, hasCode("dead_letter_not_found")),
			expect(404, "again", func(w *testContext) call {
				c := deadLetter(w)
				w.must(remove, http.StatusNoContent, c)
				return c
			}, hasCode("dead_letter_not_found")).requiring(faultInjection)),
	)
}

// newDeadLetter publishes a message that no service can handle, with an ending, and returns the
// ID of its dead letter.
func (w *testContext) newDeadLetter(ending string) int64 {
	w.t.Helper()
	mark := unique()
	if err := w.Faults.PublishInvalid(w.ctx, `{"specversion":"1.0","`+mark+ending); err != nil {
		w.t.Fatal(err)
	}
	var id int64
	w.waitUntil("the message is stored as a dead letter", func() bool {
		for _, l := range w.must("GET /admin/dead-letters", http.StatusOK, call{as: w.manager}).list(w).Items {
			if strings.Contains(fmt.Sprint(l["body"]), mark) {
				id = number(l["id"])
			}
		}
		return id != 0
	})
	return id
}

// number converts a decoded JSON number.
func number(v any) int64 {
	f, _ := v.(float64)
	return int64(f)
}
