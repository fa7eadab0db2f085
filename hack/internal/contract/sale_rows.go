package contract

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// saleRows are the rows of orders.
func saleRows() []row {
	return slices.Concat(
		on("POST /sales",
			gets(202, "", func(w *world) call {
				return call{as: w.ann, body: order(line{ProductID: w.product(1).ID, Quantity: 1})}
			},
				has("status", "Pending"), has("hold", "false"), filled("id", "customerId", "items", "currency", "createdAt", "updatedAt"), located("/sales/")),
			gets(201, "Prefer: wait", func(w *world) call {
				return call{as: w.ann, header: []string{"Prefer", "wait=20"}, body: order(line{ProductID: w.product(1).ID, Quantity: 1})}
			}, has("status", "Confirmed"), has("totalAmount", "19.99"), located("/sales/")),
			gets(201, "Prefer: wait, refused", func(w *world) call {
				return call{as: w.ann, header: []string{"Prefer", "wait=20"}, body: order(line{ProductID: w.product(1).ID, Quantity: 2})}
			}, has("status", "Unauthorized"), filled("reason", "shortages")),
			gets(202, "Prefer: wait passes", func(w *world) call {
				return call{as: w.ann, header: []string{"Prefer", "wait=1"}, body: held(line{ProductID: w.product(1).ID, Quantity: 1})}
			}, has("status", "Pending"), has("hold", "true"), filled("expiresAt")),
			gets(201, "deleted product", func(w *world) call {
				return call{as: w.ann, header: []string{"Prefer", "wait=20"}, body: order(line{ProductID: w.removed().ID, Quantity: 1})}
			}, has("status", "Unauthorized"), filled("reason")),
			gets(202, "lines of one product", func(w *world) call {
				id := w.product(9).ID
				return call{as: w.ann, body: order(line{ProductID: id, Quantity: 1}, line{ProductID: id, Quantity: 2})}
			}, oneLineOf(3)),
			gets(202, "100 lines", func(w *world) call { return call{as: w.ann, body: order(linesOf(100)...)} }),
			gets(202, "quantity 10000", ordering(10_000)),
			gets(422, "quantity 0", ordering(0), at("body.items[0].quantity")),
			gets(422, "quantity 10001", ordering(10_001), at("body.items[0].quantity")),
			gets(422, "lines add up to more than 10000", func(w *world) call {
				return call{as: w.ann, body: order(line{ProductID: 1, Quantity: 9_999}, line{ProductID: 1, Quantity: 2})}
			}, at("body.items")),
			gets(422, "no lines", func(w *world) call { return call{as: w.ann, body: order([]line{}...)} }, at("body.items")),
			gets(422, "101 lines", func(w *world) call { return call{as: w.ann, body: order(linesOf(101)...)} }, at("body.items")),
			gets(422, "product 0", func(w *world) call { return call{as: w.ann, body: order(line{Quantity: 1})} }, at("body.items[0].productId")),
			gets(422, "Idempotency-Key of 256 characters", func(w *world) call {
				return call{as: w.ann, header: []string{"Idempotency-Key", strings.Repeat("k", 256)}, body: order(line{ProductID: 1, Quantity: 1})}
			}, at("header.Idempotency-Key")),
			gets(202, "Idempotency-Key of 255 characters", func(w *world) call {
				return call{as: w.ann, header: []string{"Idempotency-Key", strings.Repeat(unique(), 22)[:255]}, body: order(line{ProductID: 1, Quantity: 1})}
			}),
			gets(422, "idempotency_key_reused", func(w *world) call {
				key := unique()
				w.place(w.ann, order(line{ProductID: 1, Quantity: 1}), "Idempotency-Key", key)
				return call{as: w.ann, header: []string{"Idempotency-Key", key}, body: order(line{ProductID: 1, Quantity: 2})}
			}, code("idempotency_key_reused")),
			gets(409, "idempotency_in_progress", func(w *world) call {
				p := w.product(1)
				c := call{as: w.ann, header: []string{"Idempotency-Key", unique(), "Prefer", "wait=2"}, body: held(line{ProductID: p.ID, Quantity: 1})}
				w.meanwhile("/sales", c, func() bool { return len(w.salesOf(w.ann, p.ID)) > 0 })
				return c
			}, code("idempotency_in_progress")),
		),
		on("GET /sales",
			gets(200, "", func(w *world) call { return call{as: w.ann, query: "limit=1"} }, filled("items")),
			gets(200, "status", func(w *world) call {
				w.confirmed()
				return call{as: w.ann, query: "status=Confirmed"}
			}, each("status", "Confirmed")),
			gets(422, "status", func(w *world) call { return call{as: w.ann, query: "status=Lost"} }, at("query.status")),
			gets(422, "cursor of another list", func(w *world) call {
				w.confirmed()
				w.confirmed()
				next := w.must("GET /sales", 200, call{as: w.ann, query: "limit=1"}).field(w, "nextCursor")
				return call{as: w.ann, query: "status=Confirmed&cursor=" + next}
			}, at("query.cursor")),
		),
		on("GET /sales/{id}",
			gets(200, "", func(w *world) call { return call{as: w.ann, args: []any{w.confirmed().ID}} },
				has("status", "Confirmed"), has("totalAmount", "39.98"), filled("items", "currency")),
			gets(404, "", func(w *world) call { return call{as: w.ann, args: []any{nowhere}} }, code("sale_not_found")),
			gets(404, "of another client", func(w *world) call { return call{as: w.bob, args: []any{w.confirmed().ID}} }, code("sale_not_found")),
		),
		decisionRows(), timelineRows(),
	)
}

func decisionRows() []row {
	return slices.Concat(
		on("PATCH /sales/{id}",
			gets(200, "empty body", func(w *world) call { return call{as: w.ann, args: []any{w.onHold().ID}} },
				has("status", "Confirmed"), has("totalAmount", "39.98")),
			gets(200, "status Confirmed", func(w *world) call {
				return call{as: w.ann, args: []any{w.onHold().ID}, body: map[string]any{"status": "Confirmed"}}
			}, has("status", "Confirmed")),
			gets(404, "", func(w *world) call { return call{as: w.ann, args: []any{nowhere}} }, code("sale_not_found")),
			gets(404, "of another client", func(w *world) call { return call{as: w.bob, args: []any{w.onHold().ID}} }, code("sale_not_found")),
			gets(409, "sale_not_pending", func(w *world) call { return call{as: w.ann, args: []any{w.confirmed().ID}} }, code("sale_not_pending")),
			gets(422, "another status", func(w *world) call {
				return call{as: w.ann, args: []any{w.onHold().ID}, body: map[string]any{"status": "Canceled"}}
			}, at("body.status")),
		),
		on("DELETE /sales/{id}",
			gets(204, "", func(w *world) call { return call{as: w.ann, args: []any{w.onHold().ID}} }),
			gets(204, "again", func(w *world) call {
				cancel := call{as: w.ann, args: []any{w.onHold().ID}}
				w.must("DELETE /sales/{id}", 204, cancel)
				return cancel
			}),
			gets(404, "", func(w *world) call { return call{as: w.ann, args: []any{nowhere}} }, code("sale_not_found")),
			gets(404, "of another client", func(w *world) call { return call{as: w.bob, args: []any{w.onHold().ID}} }, code("sale_not_found")),
			gets(409, "Confirmed", func(w *world) call { return call{as: w.ann, args: []any{w.confirmed().ID}} }, code("sale_not_pending")),
			gets(409, "Unauthorized", func(w *world) call {
				made := w.place(w.ann, order(line{ProductID: w.product(0).ID, Quantity: 1}))
				return call{as: w.ann, args: []any{w.becomes(w.ann, made.ID, "Unauthorized").ID}}
			}, code("sale_not_pending")),
		),
	)
}

func timelineRows() []row {
	return slices.Concat(
		on("GET /sales/{id}/events",
			gets(200, "", func(w *world) call { return call{as: w.ann, args: []any{w.confirmed().ID}} },
				tells("SaleCreated", "SaleItemsReservedResponse", "SaleConfirmed")),
			gets(404, "", func(w *world) call { return call{as: w.ann, args: []any{nowhere}} }, code("sale_not_found")),
			gets(404, "of another client", func(w *world) call { return call{as: w.bob, args: []any{w.confirmed().ID}} }, code("sale_not_found")),
		),
		on("GET /sales/{id}/stream",
			gets(200, "", func(w *world) call { return call{as: w.ann, args: []any{w.confirmed().ID}} },
				header("Content-Type", "text/event-stream"), streamsTimeline),
			gets(404, "", func(w *world) call { return call{as: w.ann, args: []any{nowhere}} }, code("sale_not_found")),
			gets(404, "of another client", func(w *world) call { return call{as: w.bob, args: []any{w.confirmed().ID}} }, code("sale_not_found")),
		),
	)
}

func ordering(quantity int64) func(*world) call {
	return func(w *world) call {
		return call{as: w.ann, body: order(line{ProductID: 1, Quantity: quantity})}
	}
}

// linesOf are so many lines, each of another product.
func linesOf(n int64) []line {
	var lines []line
	for id := range n {
		lines = append(lines, line{ProductID: id + 1, Quantity: 1})
	}
	return lines
}

func oneLineOf(quantity int64) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		var made sale
		a.into(w, &made)
		if len(made.Items) != 1 || made.Items[0].Quantity != quantity {
			w.t.Errorf("items are %+v, want one line of %d", made.Items, quantity)
		}
	}
}

// tells demands a list of events with these types, in this order, among others.
func tells(types ...string) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		rest := types
		for _, e := range a.list(w).Items {
			if len(rest) > 0 && fmt.Sprint(e["type"]) == rest[0] {
				rest = rest[1:]
			}
		}
		if len(rest) > 0 {
			w.t.Errorf("no %s in its place, want %v\n%s", rest[0], types, shorten(a.body))
		}
	}
}

// each demands of all items of a list, of which there are some, a member.
func each(name, want string) check {
	return func(w *world, a *answer) {
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

func streamsTimeline(w *world, a *answer) {
	w.t.Helper()
	for _, want := range []string{"event: SaleCreated\n", "event: SaleConfirmed\n", "\nid: ", "\ndata: {"} {
		if !strings.Contains("\n"+string(a.body), want) {
			w.t.Errorf("the stream has no %q\n%s", want, shorten(a.body))
		}
	}
}

// meanwhile posts what takes a while to answer, and waits until it is under way.
func (w *world) meanwhile(path string, c call, underWay func() bool) {
	w.t.Helper()
	// The context of a test ends before what it cleans up.
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
			w.t.Errorf("meanwhile: %v", err)
		}
	})
	w.until("the call is under way", underWay)
}
