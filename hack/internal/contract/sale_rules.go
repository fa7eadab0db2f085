package contract

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// saleRules hold for orders.
func saleRules() []rule {
	return []rule{
		{"sales/a repeat is replayed", nil, replays},
		{"sales/a waited answer is replayed", nil, replaysDecision},
		{"sales/keys are each user's own", nil, func(w *world) {
			key, body := unique(), order(line{ProductID: w.product(2).ID, Quantity: 1})
			first, second := w.place(w.ann, body, "Idempotency-Key", key), w.place(w.bob, body, "Idempotency-Key", key)
			if first.ID == second.ID || second.CustomerID != w.bob.id {
				w.t.Errorf("bob's key got sale %+v, ann's %+v", second, first)
			}
		}},
		{"sales/concurrent repeats make one", nil, concurrentRepeats},
		{"sales/none is oversold", nil, oversell},
		{"sales/a wait passes in time", nil, func(w *world) {
			began := time.Now()
			w.place(w.ann, held(line{ProductID: w.product(1).ID, Quantity: 1}), "Prefer", "wait=1")
			if took := time.Since(began); took < time.Second || took > 5*time.Second {
				w.t.Errorf("Prefer: wait=1 took %s", took)
			}
		}},
		{"sales/a confirmed sale takes the goods", nil, func(w *world) {
			p := w.product(5)
			made := w.onHoldOf(p.ID)
			w.stockBecomes(p.ID, stock{QuantityAvailable: 3, QuantityReserved: 2})
			w.must("PATCH /sales/{id}", http.StatusOK, call{as: w.ann, args: []any{made.ID}})
			w.stockBecomes(p.ID, stock{QuantityAvailable: 3, QuantityRemoved: 2})
		}},
		{"sales/a canceled sale gives the goods back", nil, func(w *world) {
			p := w.product(5)
			made := w.onHoldOf(p.ID)
			w.must("DELETE /sales/{id}", http.StatusNoContent, call{as: w.ann, args: []any{made.ID}})
			w.stockBecomes(p.ID, stock{QuantityAvailable: 5})
			if now := w.sale(w.ann, made.ID); now.Status != "Canceled" || now.Reason != "customer" {
				w.t.Errorf("the sale is %s for %q, want Canceled for customer", now.Status, now.Reason)
			}
		}},
		{"sales/a held sale expires", []need{shortHold}, expires},
		{"sales/prices are those of the reservation", nil, func(w *world) {
			p := w.product(5)
			before := w.onHoldOf(p.ID)
			w.must("PUT /products", http.StatusOK, call{as: w.manager, body: map[string]any{"productId": p.ID, "price": 25}})
			after := w.onHoldOf(p.ID)
			if before.TotalAmount != "39.98" || after.TotalAmount != "50.00" || w.sale(w.ann, before.ID).TotalAmount != "39.98" {
				w.t.Errorf("totals are %s before and %s after the change of the price", before.TotalAmount, after.TotalAmount)
			}
			if after.Items[0].UnitPrice != "25.00" || after.Currency == "" {
				w.t.Errorf("the line is %+v in %q", after.Items[0], after.Currency)
			}
		}},
		{"sales/a refused sale says what fell short", nil, func(w *world) {
			p := w.product(1)
			made := w.place(w.ann, order(line{ProductID: p.ID, Quantity: 4}))
			now := w.becomes(w.ann, made.ID, "Unauthorized")
			if len(now.Shortages) != 1 || now.Shortages[0].ProductID != p.ID || now.Shortages[0].Requested != 4 || now.Shortages[0].Available != 1 {
				w.t.Errorf("shortages are %+v, want product %d, 4 requested and 1 available", now.Shortages, p.ID)
			}
		}},
		{"sales/a stream follows until the decision", nil, follows},
	}
}

func replays(w *world) {
	p, key := w.product(5), unique()
	c := call{as: w.ann, header: []string{"Idempotency-Key", key}, body: order(line{ProductID: p.ID, Quantity: 1})}
	first := w.must("POST /sales", http.StatusAccepted, c)
	w.becomes(w.ann, number(mustField(w, first, "id")), "Confirmed")
	c.body, c.raw = nil, "  {\"hold\": false, \"items\": [{\"quantity\": 1, \"productId\": "+itoa(p.ID)+"}]}"
	again := w.must("POST /sales", http.StatusAccepted, c)
	header("Idempotent-Replayed", "")(w, first)
	header("Idempotent-Replayed", "true")(w, again)
	header("Location", first.header.Get("Location"))(w, again)
	if string(first.body) != string(again.body) {
		w.t.Errorf("the repeat got\n%s, the first\n%s", again.body, first.body)
	}
}

func replaysDecision(w *world) {
	c := call{as: w.ann, header: []string{"Idempotency-Key", unique(), "Prefer", "wait=20"}, body: order(line{ProductID: w.product(5).ID, Quantity: 1})}
	first := w.must("POST /sales", http.StatusCreated, c)
	again := w.must("POST /sales", http.StatusCreated, c)
	header("Idempotent-Replayed", "true")(w, again)
	if string(first.body) != string(again.body) {
		w.t.Errorf("the repeat got\n%s, the first\n%s", again.body, first.body)
	}
}

func concurrentRepeats(w *world) {
	p, key := w.product(20), unique()
	body := order(line{ProductID: p.ID, Quantity: 1})
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
				code("idempotency_in_progress")(w, a)
			default:
				w.t.Errorf("a repeat got %d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if all := w.salesOf(w.bob, p.ID); len(ids) != 1 || len(all) != 1 {
		w.t.Errorf("repeats got the sales %v, and the client has %d; want one", ids, len(all))
	}
}

func oversell(w *world) {
	const goods, orders = 5, 12
	p := w.product(goods)
	var wg sync.WaitGroup
	for range orders {
		wg.Go(func() { w.send("POST /sales", call{as: w.bob, body: order(line{ProductID: p.ID, Quantity: 1})}) })
	}
	wg.Wait()
	counts := map[string]int{}
	w.until("all are decided", func() bool {
		clear(counts)
		for _, one := range w.salesOf(w.bob, p.ID) {
			counts[one.Status]++
		}
		return counts["Pending"] == 0
	})
	if counts["Confirmed"] != goods || counts["Unauthorized"] != orders-goods {
		w.t.Errorf("%d orders for %d goods became %v", orders, goods, counts)
	}
	w.stockBecomes(p.ID, stock{QuantityRemoved: goods})
}

func expires(w *world) {
	p := w.product(5)
	made := w.onHoldOf(p.ID)
	now := w.becomes(w.ann, made.ID, "Canceled")
	if made.ExpiresAt == "" || now.Reason != "expired" || now.ExpiresAt != "" {
		w.t.Errorf("held until %q, then canceled for %q, want expired", made.ExpiresAt, now.Reason)
	}
	w.stockBecomes(p.ID, stock{QuantityAvailable: 5})
}

// follows opens a stream before the decision, and another that goes on in the middle.
func follows(w *world) {
	made := w.onHold()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	path := "/sales/" + itoa(made.ID) + "/stream"
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
			w.must("PATCH /sales/{id}", http.StatusOK, call{as: w.ann, args: []any{made.ID}})
		}
	}
	if got := strings.Join(events, " "); got != "SaleCreated SaleItemsReservedResponse SaleConfirmed" {
		w.t.Fatalf("the stream told %s", got)
	}
	rest := string(w.fetch(w.URL, http.MethodGet, path, call{as: w.ann, header: []string{"Last-Event-ID", ids[0]}}).body)
	if strings.Contains(rest, "event: SaleCreated\n") || !strings.Contains(rest, "event: SaleConfirmed\n") {
		w.t.Errorf("after event %s the stream told\n%s", ids[0], rest)
	}
}

// stockBecomes waits for the quantities of a product.
func (w *world) stockBecomes(id int64, want stock) {
	w.t.Helper()
	want.ProductID = id
	var now stock
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	for now = w.stockOf(id); now != want; now = w.stockOf(id) {
		if pause(ctx, lookInterval) != nil {
			w.t.Fatalf("stock is %+v, want %+v", now, want)
		}
	}
}
