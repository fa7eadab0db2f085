package contract

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// saleCases returns the cases of sales.
func saleCases() []testCase {
	return slices.Concat(
		operation("POST /sales",
			expect(202, "", func(w *testContext) call {
				return call{as: w.ann, body: orderBody(line{ProductID: w.newProduct(1).ID, Quantity: 1})}
			},
				hasField("status", "Pending"), hasField("hold", "false"), hasFields("id", "customerId", "items", "currency", "createdAt", "updatedAt"), hasLocation("/sales/")),
			expect(201, "Prefer: wait", func(w *testContext) call {
				return call{as: w.ann, header: []string{"Prefer", "wait=20"}, body: orderBody(line{ProductID: w.newProduct(1).ID, Quantity: 1})}
			}, hasField("status", "Confirmed"), hasField("totalAmount", "19.99"), hasLocation("/sales/")),
			expect(201, "Prefer: wait, rejected", func(w *testContext) call {
				return call{as: w.ann, header: []string{"Prefer", "wait=20"}, body: orderBody(line{ProductID: w.newProduct(1).ID, Quantity: 2})}
			}, hasField("status", "Unauthorized"), hasFields("reason", "shortages")),
			expect(202, "Prefer: wait expires", func(w *testContext) call {
				return call{as: w.ann, header: []string{"Prefer", "wait=1"}, body: holdBody(line{ProductID: w.newProduct(1).ID, Quantity: 1})}
			}, hasField("status", "Pending"), hasField("hold", "true"), hasFields("expiresAt")),
			expect(201, "deleted product", func(w *testContext) call {
				return call{as: w.ann, header: []string{"Prefer", "wait=20"}, body: orderBody(line{ProductID: w.newDeletedProduct().ID, Quantity: 1})}
			}, hasField("status", "Unauthorized"), hasFields("reason")),
			expect(202, "lines of one product", func(w *testContext) call {
				id := w.newProduct(9).ID
				return call{as: w.ann, body: orderBody(line{ProductID: id, Quantity: 1}, line{ProductID: id, Quantity: 2})}
			}, hasOneItem(3)),
			expect(202, "100 lines", func(w *testContext) call { return call{as: w.ann, body: orderBody(distinctItems(100)...)} }),
			expect(202, "quantity 10000", orderOfQuantity(10_000)),
			expect(422, "quantity 0", orderOfQuantity(0), hasErrorsAt("body.items[0].quantity")),
			expect(422, "quantity 10001", orderOfQuantity(10_001), hasErrorsAt("body.items[0].quantity")),
			expect(422, "lines add up to more than 10000", func(w *testContext) call {
				return call{as: w.ann, body: orderBody(line{ProductID: 1, Quantity: 9_999}, line{ProductID: 1, Quantity: 2})}
			}, hasErrorsAt("body.items")),
			expect(422, "no lines", func(w *testContext) call { return call{as: w.ann, body: orderBody([]line{}...)} }, hasErrorsAt("body.items")),
			expect(422, "101 lines", func(w *testContext) call { return call{as: w.ann, body: orderBody(distinctItems(101)...)} }, hasErrorsAt("body.items")),
			expect(422, "product 0", func(w *testContext) call { return call{as: w.ann, body: orderBody(line{Quantity: 1})} }, hasErrorsAt("body.items[0].productId")),
			expect(422, "Idempotency-Key of 256 characters", func(w *testContext) call {
				return call{as: w.ann, header: []string{"Idempotency-Key", strings.Repeat("k", 256)}, body: orderBody(line{ProductID: 1, Quantity: 1})}
			}, hasErrorsAt("header.Idempotency-Key")),
			expect(202, "Idempotency-Key of 255 characters", func(w *testContext) call {
				return call{as: w.ann, header: []string{"Idempotency-Key", strings.Repeat(unique(), 22)[:255]}, body: orderBody(line{ProductID: 1, Quantity: 1})}
			}),
			expect(202, "quantities with a fraction", func(w *testContext) call {
				return call{as: w.ann, raw: fmt.Sprintf(`{"items": [{"productId": %d, "quantity": 1.0}, {"productId": 1, "quantity": 1e0}]}`, w.newProduct(1).ID)}
			}),
			expect(422, "idempotency_key_reused", func(w *testContext) call {
				key := unique()
				w.place(w.ann, orderBody(line{ProductID: 1, Quantity: 1}), "Idempotency-Key", key)
				return call{as: w.ann, header: []string{"Idempotency-Key", key}, body: orderBody(line{ProductID: 1, Quantity: 2})}
			}, hasCode("idempotency_key_reused")),
		),
		operation("GET /sales",
			expect(200, "", func(w *testContext) call { return call{as: w.ann, query: "limit=1"} }, hasFields("items")),
			expect(200, "status", func(w *testContext) call {
				w.newConfirmedSale()
				return call{as: w.ann, query: "status=Confirmed"}
			}, eachItem("status", "Confirmed")),
			expect(422, "status", func(w *testContext) call { return call{as: w.ann, query: "status=Lost"} }, hasErrorsAt("query.status")),
			expect(422, "cursor of another list", func(w *testContext) call {
				w.newConfirmedSale()
				w.newConfirmedSale()
				next := w.must("GET /sales", 200, call{as: w.ann, query: "limit=1"}).field(w, "nextCursor")
				return call{as: w.ann, query: "status=Confirmed&cursor=" + next}
			}, hasErrorsAt("query.cursor")),
		),
		operation("GET /sales/{id}",
			expect(200, "", func(w *testContext) call { return call{as: w.ann, args: []any{w.newConfirmedSale().ID}} },
				hasField("status", "Confirmed"), hasField("totalAmount", "39.98"), hasFields("items", "currency")),
			expect(404, "", func(w *testContext) call { return call{as: w.ann, args: []any{unknownID}} }, hasCode("sale_not_found")),
			expect(404, "of another client", func(w *testContext) call { return call{as: w.bob, args: []any{w.newConfirmedSale().ID}} }, hasCode("sale_not_found")),
		),
		decisionCases(), timelineCases(),
	)
}

func decisionCases() []testCase {
	return slices.Concat(
		operation("PATCH /sales/{id}",
			expect(200, "empty body", func(w *testContext) call { return call{as: w.ann, args: []any{w.newHold().ID}} },
				hasField("status", "Confirmed"), hasField("totalAmount", "39.98")),
			expect(200, "status Confirmed", func(w *testContext) call {
				return call{as: w.ann, args: []any{w.newHold().ID}, body: map[string]any{"status": "Confirmed"}}
			}, hasField("status", "Confirmed")),
			expect(404, "", func(w *testContext) call { return call{as: w.ann, args: []any{unknownID}} }, hasCode("sale_not_found")),
			expect(404, "of another client", func(w *testContext) call { return call{as: w.bob, args: []any{w.newHold().ID}} }, hasCode("sale_not_found")),
			expect(409, "sale_not_pending", func(w *testContext) call { return call{as: w.ann, args: []any{w.newConfirmedSale().ID}} }, hasCode("sale_not_pending")),
			expect(422, "another status", func(w *testContext) call {
				return call{as: w.ann, args: []any{w.newHold().ID}, body: map[string]any{"status": "Canceled"}}
			}, hasErrorsAt("body.status")),
		),
		operation("DELETE /sales/{id}",
			expect(204, "", func(w *testContext) call { return call{as: w.ann, args: []any{w.newHold().ID}} }),
			expect(204, "again", func(w *testContext) call {
				cancel := call{as: w.ann, args: []any{w.newHold().ID}}
				w.must("DELETE /sales/{id}", 204, cancel)
				return cancel
			}),
			expect(404, "", func(w *testContext) call { return call{as: w.ann, args: []any{unknownID}} }, hasCode("sale_not_found")),
			expect(404, "of another client", func(w *testContext) call { return call{as: w.bob, args: []any{w.newHold().ID}} }, hasCode("sale_not_found")),
			expect(409, "Confirmed", func(w *testContext) call { return call{as: w.ann, args: []any{w.newConfirmedSale().ID}} }, hasCode("sale_not_pending")),
			expect(409, "Unauthorized", func(w *testContext) call {
				created := w.place(w.ann, orderBody(line{ProductID: w.newProduct(0).ID, Quantity: 1}))
				return call{as: w.ann, args: []any{w.awaitStatus(w.ann, created.ID, "Unauthorized").ID}}
			}, hasCode("sale_not_pending")),
		),
	)
}

func timelineCases() []testCase {
	return slices.Concat(
		operation("GET /sales/{id}/events",
			expect(200, "", func(w *testContext) call { return call{as: w.ann, args: []any{w.newConfirmedSale().ID}} },
				hasEvents("SaleCreated", "SaleItemsReservedResponse", "SaleConfirmed")),
			expect(404, "", func(w *testContext) call { return call{as: w.ann, args: []any{unknownID}} }, hasCode("sale_not_found")),
			expect(404, "of another client", func(w *testContext) call { return call{as: w.bob, args: []any{w.newConfirmedSale().ID}} }, hasCode("sale_not_found")),
		),
		operation("GET /sales/{id}/stream",
			expect(200, "", func(w *testContext) call { return call{as: w.ann, args: []any{w.newConfirmedSale().ID}} },
				hasHeader("Content-Type", "text/event-stream"), hasTimelineEvents),
			expect(204, "after the decision", func(w *testContext) call {
				id := w.newConfirmedSale().ID
				ids := idsOf(w.must("GET /sales/{id}/events", http.StatusOK, call{as: w.ann, args: []any{id}}).list(w).Items)
				return call{as: w.ann, args: []any{id}, header: []string{"Last-Event-ID", itoa(ids[len(ids)-1])}}
			}),
			expect(404, "", func(w *testContext) call { return call{as: w.ann, args: []any{unknownID}} }, hasCode("sale_not_found")),
			expect(404, "of another client", func(w *testContext) call { return call{as: w.bob, args: []any{w.newConfirmedSale().ID}} }, hasCode("sale_not_found")),
		),
	)
}

func orderOfQuantity(quantity int64) func(*testContext) call {
	return func(w *testContext) call {
		return call{as: w.ann, body: orderBody(line{ProductID: 1, Quantity: quantity})}
	}
}

// distinctItems returns n items of different products.
func distinctItems(n int64) []line {
	var lines []line
	for id := range n {
		lines = append(lines, line{ProductID: id + 1, Quantity: 1})
	}
	return lines
}

func hasOneItem(quantity int64) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		var created sale
		a.into(w, &created)
		if len(created.Items) != 1 || created.Items[0].Quantity != quantity {
			w.t.Errorf("items are %+v, want one item of quantity %d", created.Items, quantity)
		}
	}
}

// hasEvents checks that a list contains events of these types in this order.
func hasEvents(types ...string) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		rest := types
		for _, e := range a.list(w).Items {
			if len(rest) > 0 && fmt.Sprint(e["type"]) == rest[0] {
				rest = rest[1:]
			}
		}
		if len(rest) > 0 {
			w.t.Errorf("no %s in order, want %v\n%s", rest[0], types, truncate(a.body))
		}
	}
}

// eachItem checks a member of all items of a list that is not empty.
func eachItem(name, want string) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		list := a.list(w).Items
		if len(list) == 0 {
			w.t.Error("the list is empty")
		}
		for _, item := range list {
			if got := fmt.Sprint(item[name]); got != want {
				w.t.Errorf("an item has %s %s, want %s", name, got, want)
			}
		}
	}
}

func hasTimelineEvents(w *testContext, a *response) {
	w.t.Helper()
	for _, want := range []string{"event: SaleCreated\n", "event: SaleConfirmed\n", "\nid: ", "\ndata: {"} {
		if !strings.Contains("\n"+string(a.body), want) {
			w.t.Errorf("the stream has no %q\n%s", want, truncate(a.body))
		}
	}
}

// startRequest sends a POST request in the background and waits until started returns
// true.
func (w *testContext) startRequest(path string, c call, started func() bool) {
	w.t.Helper()
	// The context of a test is canceled before its cleanup functions run.
	req, err := w.request(context.WithoutCancel(w.ctx), w.URL, http.MethodPost, path, c)
	if err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		res, err := w.http.Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		ended <- err
	}()
	w.t.Cleanup(func() {
		if err := <-ended; err != nil {
			w.t.Errorf("background request: %v", err)
		}
	})
	w.waitUntil("the request is being handled", started)
}
