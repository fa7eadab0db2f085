package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/hack/internal/client"
)

// violation is a violation of an invariant. The numbers are those of docs/reliability.md; 0 is
// for others.
type violation struct {
	Invariant     int
	Sale, Product int64 // 0 if it concerns none
	Text          string
}

func (v violation) String() string {
	text := v.Text
	if v.Sale != 0 {
		text = fmt.Sprintf("sale %d %s", v.Sale, text)
	}
	if v.Product != 0 {
		text = fmt.Sprintf("product %d %s", v.Product, text)
	}
	if v.Invariant != 0 {
		text = fmt.Sprintf("invariant %d: %s", v.Invariant, text)
	}
	return text
}

// checker compares what clients were told with the databases.
type checker struct {
	*snapshot
	history  *history
	products []client.Product
	manager  int64
	poison   map[string]bool
	end      time.Duration // of the history

	orders map[int64]*order     // by their sales
	bySale map[int64][]movement // the ledger of each sale
	found  []violation
}

// check checks the invariants, and adds the results to res.
func (r *round) check(ctx context.Context, res *result) error {
	s, err := r.snapshot(ctx)
	if err != nil {
		return err
	}
	audited, err := (&client.Client{URL: r.store.URL}).Audit(ctx, r.load.manager)
	if err != nil {
		return fmt.Errorf("audit the ledger: %w", err)
	}
	for _, text := range audited {
		res.Violations = append(res.Violations, violation{Invariant: 1, Text: "the audit of stock: " + text})
	}
	r.store.mu.Lock()
	c := &checker{snapshot: s, history: r.load.history, products: r.load.products, manager: r.load.manager.ID, poison: maps.Clone(r.store.poison), end: r.load.now()}
	r.store.mu.Unlock()
	c.check()
	res.Violations = append(res.Violations, c.found...)
	res.Orders, res.Acknowledged = r.load.progress()
	res.Sales, res.Moves, res.Statuses = len(s.sales), len(r.load.moves), r.load.statuses
	res.ByStatus = map[string]int{}
	for _, row := range s.sales {
		res.ByStatus[row.Status]++
	}
	r.store.checked.Add(int64(len(s.sales)))
	res.Faults = r.faults.between(0, c.end)
	res.Recovery = recovery(r.load.began, res.Faults, s)
	res.Notes, res.Hits = r.notes, r.hits.Load()
	if len(res.Violations) > 0 {
		res.Account = r.account(c, res.main())
	}
	return nil
}

func (c *checker) add(invariant int, sale, product int64, format string, args ...any) {
	c.found = append(c.found, violation{invariant, sale, product, fmt.Sprintf(format, args...)})
}

// check checks the invariants of docs/reliability.md.
func (c *checker) check() {
	c.matchOrders()
	for _, id := range slices.Sorted(maps.Keys(c.sales)) {
		c.checkSale(c.sales[id])
	}
	for _, o := range c.history.orders {
		c.checkOrder(o)
	}
	c.checkReservations()
	for _, p := range c.products {
		c.checkProduct(p.ID)
	}
	c.checkMoves()
	for id, text := range c.deadLetters {
		if _, expected := c.poison[id]; !expected {
			c.add(6, 0, 0, "message %s became a dead letter: %s", id, text)
		}
	}
	c.checkResponses()
	for _, p := range c.products {
		c.checkHistory(p)
	}
}

// matchOrders finds the order of each sale (invariant 7: one sale for each key).
func (c *checker) matchOrders() {
	c.orders, c.bySale = map[int64]*order{}, map[int64][]movement{}
	for _, ledger := range c.ledgers {
		for _, m := range ledger {
			c.bySale[m.Sale] = append(c.bySale[m.Sale], m)
		}
	}
	for _, o := range c.history.orders {
		stored, ok := c.requests[keyOf(o.Customer.ID, o.Key)]
		if ok {
			c.orders[stored] = o
		}
		for _, id := range o.Sales {
			if id != stored {
				c.add(7, id, 0, "is the response to the key %s, and sale %d is stored for it", o.Key, stored)
			}
		}
	}
}

// checkOrder checks that what a customer was told about an order is true (invariant 3).
func (c *checker) checkOrder(o *order) {
	if o.Outcome == refused {
		if id, exists := c.requests[keyOf(o.Customer.ID, o.Key)]; exists {
			c.add(3, id, 0, "exists, although its order was refused with %d", o.Status)
		}
	}
	id := o.id()
	if id == 0 {
		return
	}
	row := c.sales[id]
	if row == nil {
		c.add(3, id, 0, "was acknowledged, and does not exist")
		return
	}
	var final string
	for _, s := range o.Sightings {
		switch {
		case s.Status == "not found":
			c.add(3, id, 0, "was acknowledged, and was not found %s later", s.Called-o.Returned)
		case s.Status != "" && s.Status != "Pending":
			final = s.Status
		}
	}
	if final != "" && final != row.Status {
		c.add(3, id, 0, "was %s in a response, and is %s", final, row.Status)
	}
	if created := row.CreatedAt.Sub(c.history.began); created < o.Called-clockError || created > o.Returned+clockError {
		c.add(3, id, 0, "was placed between %s and %s, and created at %s by its row", o.Called, o.Returned, created)
	}
	for _, confirm := range o.Confirms {
		if early := o.ExpiresAt.Sub(c.history.began.Add(confirm.Returned)); confirm.Outcome == refused && early > clockError && row.Status != "Unauthorized" && row.Reason != "customer" {
			c.add(3, id, 0, "could not be confirmed %s before it expired (%d %s)", early, confirm.Status, confirm.Code)
		}
		if confirm.Outcome != done {
			continue
		}
		if row.Status != "Confirmed" {
			c.add(3, id, 0, "was confirmed with 200, and is %s", row.Status)
		}
		if late := c.history.began.Add(confirm.Called).Sub(o.ExpiresAt); late > clockError {
			c.add(3, id, 0, "was confirmed %s after it had expired", late)
		}
	}
	for _, cancel := range o.Cancels {
		if cancel.Outcome == done && row.Status != "Canceled" {
			c.add(3, id, 0, "was canceled with 204, and is %s", row.Status)
		}
	}
}

// clockError is the error of the time that services derive from the clock of the database.
const clockError = 1200 * time.Millisecond

// checkSale checks a sale, its timeline, its reservation and its movements (invariants 3 to 5 and 7).
func (c *checker) checkSale(row *saleRow) {
	o := c.orders[row.ID]
	if o == nil {
		c.add(7, row.ID, 0, "has no order with a stored response")
		return
	}
	wantItems := map[int64]int64{}
	for _, i := range o.Items {
		wantItems[i.ProductID] += i.Quantity
	}
	if !maps.Equal(wantItems, row.Items) || row.Hold != o.Hold || row.Customer != o.Customer.ID {
		c.add(3, row.ID, 0, "has the items %v, hold %t, of customer %d; ordered were %v, hold %t, by %d", row.Items, row.Hold, row.Customer, wantItems, o.Hold, o.Customer.ID)
	}
	if row.Status == "Confirmed" && row.Hold && !slices.ContainsFunc(o.Confirms, func(c call) bool { return c.Outcome != refused }) {
		c.add(3, row.ID, 0, "is a hold that was confirmed without its customer")
	}
	if row.Status == "Confirmed" && row.Hold && !o.ExpiresAt.IsZero() && !row.UpdatedAt.Before(o.ExpiresAt) {
		c.add(3, row.ID, 0, "was confirmed at %s by its row, and expired at %s", row.UpdatedAt, o.ExpiresAt)
	}
	if row.Status == "Canceled" && row.Reason == "customer" && !slices.ContainsFunc(o.Cancels, func(c call) bool { return c.Outcome != refused }) {
		c.add(3, row.ID, 0, "was canceled without its customer")
	}
	if row.Status == "Canceled" && row.Reason != "customer" && !row.Hold {
		c.add(3, row.ID, 0, "was canceled with the reason %q, and is no hold", row.Reason)
	}
	c.checkTimeline(row)
	c.checkTotal(row)
	want := map[string][]string{"Confirmed": {"Removed"}, "Canceled": {"Released"}, "Unauthorized": {"Rejected"}}[row.Status]
	if got := c.reservations[row.ID]; !slices.Contains(want, got) {
		c.add(5, row.ID, 0, "is %s, and its reservation is %q", row.Status, got)
	}
	sums := map[string]map[int64]int64{}
	for _, m := range c.bySale[row.ID] {
		if sums[m.Kind] == nil {
			sums[m.Kind] = map[int64]int64{}
		}
		sums[m.Kind][m.Product] += m.Quantity
	}
	switch row.Status {
	case "Confirmed":
		if !maps.Equal(sums[reserved], row.Items) || !maps.Equal(sums[removed], row.Items) || len(sums[released]) > 0 {
			c.add(4, row.ID, 0, "is Confirmed with the items %v, and its movements are %v", row.Items, sums)
		}
	case "Canceled":
		if !maps.Equal(sums[reserved], sums[released]) || len(sums[removed]) > 0 {
			c.add(5, row.ID, 0, "is Canceled, and its movements are %v", sums)
		}
	default:
		if len(sums) > 0 {
			c.add(5, row.ID, 0, "is %s, and has the movements %v", row.Status, sums)
		}
	}
}

// checkTimeline checks that the timeline has the decision and the response of stock, once each.
func (c *checker) checkTimeline(row *saleRow) {
	timeline := c.timelines[row.ID]
	want := map[string][]string{
		"Confirmed":    {"SaleCreated", "SaleItemsReservedResponse", "SaleConfirmed", "StockReleased"},
		"Canceled":     {"SaleCreated", "SaleCanceled", "StockCanceled"},
		"Unauthorized": {"SaleCreated", "SaleCreationFailed"},
	}[row.Status]
	got := slices.DeleteFunc(slices.Clone(timeline), func(name string) bool {
		return row.Status == "Canceled" && name == "SaleItemsReservedResponse"
	})
	if !slices.Equal(got, want) {
		c.add(3, row.ID, 0, "is %s with the timeline %v, want %v", row.Status, timeline, want)
	}
}

// checkTotal checks that a sale whose stock was reserved has its price.
func (c *checker) checkTotal(row *saleRow) {
	if row.Status != "Confirmed" {
		return
	}
	var want decimal.Decimal
	for _, p := range c.products {
		want = want.Add(decimal.RequireFromString(p.Price).Mul(decimal.NewFromInt(row.Items[p.ID])))
	}
	if got, err := decimal.NewFromString(row.Total); err != nil || !got.Equal(want) {
		c.add(4, row.ID, 0, "has the total %s, want %s", row.Total, want)
	}
}

// checkReservations checks that each reservation has a sale.
func (c *checker) checkReservations() {
	for id, status := range c.reservations {
		if c.sales[id] == nil && id < impossibleSale {
			c.add(5, id, 0, "does not exist, and has a reservation that is %s", status)
		}
	}
	for product, ledger := range c.ledgers {
		for _, m := range ledger {
			if m.Sale != 0 && c.sales[m.Sale] == nil {
				c.add(4, m.Sale, product, "does not exist, and %d were %s for it", m.Quantity, m.Kind)
			}
		}
	}
}

// checkProduct checks that the quantities of a product are the sum of its ledger, and never
// were negative (invariants 1 and 2).
func (c *checker) checkProduct(id int64) {
	var q quantities
	for _, m := range c.ledgers[id] {
		if q = q.after(m); q.negative() {
			c.add(2, m.Sale, id, "has the quantities %+v after movement %d", q, m.ID)
		}
	}
	if got := c.stocks[id]; got != q {
		c.add(1, 0, id, "has the quantities %+v, and the sum of its ledger is %+v", got, q)
	}
	if got := c.stocks[id]; got.negative() {
		c.add(2, 0, id, "has the quantities %+v", got)
	}
}

// checkMoves checks that each movement of a manager was made once if it was acknowledged, and
// at most once otherwise.
func (c *checker) checkMoves() {
	for _, m := range c.history.moves {
		if m.Kind == read {
			continue
		}
		exists := c.moved[keyOf(c.manager, m.Key)]
		if m.Outcome == done && !exists {
			c.add(7, 0, m.Product, "has no stored response for the movement %s of %d that was acknowledged", m.Kind, m.Count)
		}
		if m.Outcome == refused && exists {
			c.add(7, 0, m.Product, "has a stored response for the movement %s of %d that was refused with %d", m.Kind, m.Count, m.Status)
		}
	}
}

// checkResponses checks that faults caused no status that blames the client, and no error that
// does not say to retry later.
func (c *checker) checkResponses() {
	expected := []int{acceptedKey, 0, http.StatusOK, http.StatusConflict, http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	for status, n := range c.history.statuses {
		if status == noRetryAfterKey {
			c.add(0, 0, 0, "%d responses with the status 503 have no Retry-After", n)
		} else if !slices.Contains(expected, status) {
			c.add(0, 0, 0, "%d responses have the status %d", n, status)
		}
	}
}

// recovery returns how long after each fault a new sale was decided, by the group of the fault.
func recovery(began time.Time, faults []window, s *snapshot) map[string][]time.Duration {
	times := map[string][]time.Duration{}
	for _, w := range faults {
		end := began.Add(w.Ended)
		var first time.Duration
		for _, row := range s.sales {
			if d := row.UpdatedAt.Sub(end); !row.Hold && !row.CreatedAt.Before(end) && (first == 0 || d < first) {
				first = d
			}
		}
		if first > 0 {
			times[w.group()] = append(times[w.group()], first)
		}
	}
	return times
}
