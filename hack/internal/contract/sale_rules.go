package contract

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// saleRules returns the rules of sales.
func saleRules() []rule {
	return []rule{
		{"sales/a repeated request is replayed", nil, repeatIsReplayed},
		{"sales/a response after Prefer: wait is replayed", nil, decisionIsReplayed},
		{"sales/idempotency keys are scoped to users", nil, func(w *testContext) {
			key, body := unique(), orderBody(line{ProductID: w.newProduct(2).ID, Quantity: 1})
			first, second := w.place(w.ann, body, "Idempotency-Key", key), w.place(w.bob, body, "Idempotency-Key", key)
			if first.ID == second.ID || second.CustomerID != w.bob.id {
				w.t.Errorf("sale of bob's key %+v, of ann's key %+v", second, first)
			}
		}},
		{"sales/concurrent repeats create one sale", nil, concurrentRepeats},
		{"sales/stock is not oversold", nil, noOversell},
		{"sales/Prefer: wait ends when a hold is reserved", nil, func(w *testContext) {
			began := time.Now()
			s := w.place(w.ann, holdBody(line{ProductID: w.newProduct(1).ID, Quantity: 1}), "Prefer", "wait=30")
			if took := time.Since(began); s.TotalAmount == "" || took > waitTimeout {
				w.t.Errorf("after %s the total is %q", took, s.TotalAmount)
			}
		}},
		{"sales/a confirmed sale removes stock", nil, func(w *testContext) {
			p := w.newProduct(5)
			created := w.newHoldOf(p.ID)
			w.awaitStock(p.ID, stock{QuantityAvailable: 3, QuantityReserved: 2})
			w.must("PATCH /sales/{id}", http.StatusOK, call{as: w.ann, args: []any{created.ID}})
			w.awaitStock(p.ID, stock{QuantityAvailable: 3, QuantityRemoved: 2})
		}},
		{"sales/a canceled sale releases stock", nil, func(w *testContext) {
			p := w.newProduct(5)
			created := w.newHoldOf(p.ID)
			w.must("DELETE /sales/{id}", http.StatusNoContent, call{as: w.ann, args: []any{created.ID}})
			w.awaitStock(p.ID, stock{QuantityAvailable: 5})
			if now := w.getSale(w.ann, created.ID); now.Status != "Canceled" || now.Reason != "customer" {
				w.t.Errorf("the sale is %s with reason %q, want Canceled and customer", now.Status, now.Reason)
			}
		}},
		{"sales/a hold expires", []requirement{shortHold}, holdExpires},
		{"sales/prices are those of the reservation", nil, func(w *testContext) {
			p := w.newProduct(5)
			before := w.newHoldOf(p.ID)
			w.must("PUT /products", http.StatusOK, call{as: w.manager, body: map[string]any{"productId": p.ID, "price": 25}})
			after := w.newHoldOf(p.ID)
			if before.TotalAmount != "39.98" || after.TotalAmount != "50.00" || w.getSale(w.ann, before.ID).TotalAmount != "39.98" {
				w.t.Errorf("totals are %s before and %s after the price update", before.TotalAmount, after.TotalAmount)
			}
			if after.Items[0].UnitPrice != "25.00" || after.Currency == "" {
				w.t.Errorf("item %+v, currency %q", after.Items[0], after.Currency)
			}
		}},
		{"sales/a rejected sale lists its shortages", nil, func(w *testContext) {
			p := w.newProduct(1)
			created := w.place(w.ann, orderBody(line{ProductID: p.ID, Quantity: 4}))
			now := w.awaitStatus(w.ann, created.ID, "Unauthorized")
			if len(now.Shortages) != 1 || now.Shortages[0].ProductID != p.ID || now.Shortages[0].Requested != 4 || now.Shortages[0].Available != 1 {
				w.t.Errorf("shortages are %+v, want product %d, 4 requested and 1 available", now.Shortages, p.ID)
			}
		}},
		{"sales/a stream ends with the decision", nil, streamFollows},
	}
}

func repeatIsReplayed(w *testContext) {
	p, key := w.newProduct(5), unique()
	c := call{as: w.ann, header: []string{"Idempotency-Key", key}, body: orderBody(line{ProductID: p.ID, Quantity: 1})}
	first := w.must("POST /sales", http.StatusAccepted, c)
	w.awaitStatus(w.ann, number(mustField(w, first, "id")), "Confirmed")
	c.body, c.raw = nil, "  {\"hold\": false, \"items\": [{\"quantity\": 1, \"productId\": "+itoa(p.ID)+"}]}"
	again := w.must("POST /sales", http.StatusAccepted, c)
	hasHeader("Idempotent-Replayed", "")(w, first)
	hasHeader("Idempotent-Replayed", "true")(w, again)
	hasHeader("Location", first.header.Get("Location"))(w, again)
	if string(first.body) != string(again.body) {
		w.t.Errorf("the repeated response is\n%s, the first\n%s", again.body, first.body)
	}
}

func decisionIsReplayed(w *testContext) {
	c := call{as: w.ann, header: []string{"Idempotency-Key", unique(), "Prefer", "wait=20"}, body: orderBody(line{ProductID: w.newProduct(5).ID, Quantity: 1})}
	first := w.must("POST /sales", http.StatusCreated, c)
	again := w.must("POST /sales", http.StatusCreated, c)
	hasHeader("Idempotent-Replayed", "true")(w, again)
	if string(first.body) != string(again.body) {
		w.t.Errorf("the repeated response is\n%s, the first\n%s", again.body, first.body)
	}
}

func concurrentRepeats(w *testContext) {
	p, key := w.newProduct(20), unique()
	body := orderBody(line{ProductID: p.ID, Quantity: 1})
	var mu sync.Mutex
	ids := map[string]int{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			switch a := w.send("POST /sales", call{as: w.bob, header: []string{"Idempotency-Key", key}, body: body}); a.status {
			case http.StatusAccepted:
				mu.Lock()
				ids[a.field(w, "id")]++
				mu.Unlock()
			case http.StatusConflict:
				hasCode("idempotency_in_progress")(w, a)
			default:
				w.t.Errorf("a repeated request returned %d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if all := w.salesOf(w.bob, p.ID); len(ids) != 1 || len(all) != 1 {
		w.t.Errorf("repeats returned the sales %v, and the client has %d; want one", ids, len(all))
	}
}

func noOversell(w *testContext) {
	const goods, orders = 5, 12
	p := w.newProduct(goods)
	var wg sync.WaitGroup
	for range orders {
		wg.Go(func() { w.send("POST /sales", call{as: w.bob, body: orderBody(line{ProductID: p.ID, Quantity: 1})}) })
	}
	wg.Wait()
	counts := map[string]int{}
	w.waitUntil("all sales are decided", func() bool {
		clear(counts)
		for _, one := range w.salesOf(w.bob, p.ID) {
			counts[one.Status]++
		}
		return counts["Pending"] == 0
	})
	if counts["Confirmed"] != goods || counts["Unauthorized"] != orders-goods {
		w.t.Errorf("%d orders for %d items have the statuses %v", orders, goods, counts)
	}
	w.awaitStock(p.ID, stock{QuantityRemoved: goods})
}

func holdExpires(w *testContext) {
	p := w.newProduct(5)
	created := w.newHoldOf(p.ID)
	now := w.awaitStatus(w.ann, created.ID, "Canceled")
	if created.ExpiresAt == "" || now.Reason != "expired" || now.ExpiresAt != "" {
		w.t.Errorf("expiresAt %q, then canceled with reason %q, want expired", created.ExpiresAt, now.Reason)
	}
	w.awaitStock(p.ID, stock{QuantityAvailable: 5})
}

// streamFollows opens a stream before the decision, and another that resumes after the
// first event.
func streamFollows(w *testContext) {
	created := w.newHold()
	ctx, cancel := context.WithTimeout(w.ctx, waitTimeout)
	defer cancel()
	path := "/sales/" + itoa(created.ID) + "/stream"
	res := w.open(ctx, w.URL, http.MethodGet, path, call{as: w.ann})
	defer res.Body.Close()
	var events, ids []string
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			ids = append(ids, id)
		}
		event, ok := strings.CutPrefix(lines.Text(), "event: ")
		if !ok {
			continue
		}
		if events = append(events, event); event == "SaleItemsReservedResponse" {
			w.must("PATCH /sales/{id}", http.StatusOK, call{as: w.ann, args: []any{created.ID}})
		}
	}
	if got := strings.Join(events, " "); got != "SaleCreated SaleItemsReservedResponse SaleConfirmed" {
		w.t.Fatalf("the events of the stream are %s", got)
	}
	rest := string(w.fetch(w.URL, http.MethodGet, path, call{as: w.ann, header: []string{"Last-Event-ID", ids[0]}}).body)
	if strings.Contains(rest, "event: SaleCreated\n") || !strings.Contains(rest, "event: SaleConfirmed\n") {
		w.t.Errorf("the stream after event %s is\n%s", ids[0], rest)
	}
}

// awaitStock waits until the quantities of a product equal want.
func (w *testContext) awaitStock(id int64, want stock) {
	w.t.Helper()
	want.ProductID = id
	var now stock
	ctx, cancel := context.WithTimeout(w.ctx, waitTimeout)
	defer cancel()
	for now = w.getStock(id); now != want; now = w.getStock(id) {
		if sleep(ctx, pollInterval) != nil {
			w.t.Fatalf("stock is %+v, want %+v", now, want)
		}
	}
}
