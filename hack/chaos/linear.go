package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"ecommerce-stack.dev/hack/internal/client"
)

// operation is an operation on the stock of one product: a request of a manager, or a movement
// of a sale.
type operation struct {
	kind     string
	quantity int64
	sale     int64 // 0 for a manager
	refused  bool  // because too little was available, or reserved manually
	known    bool  // the response has the quantities in stock
	stock    client.Stock
}

func (o operation) String() string {
	text := o.kind
	if o.kind != read {
		text += fmt.Sprintf(" %d", o.quantity)
	}
	if o.sale != 0 {
		text += fmt.Sprintf(" for sale %d", o.sale)
	}
	switch {
	case o.refused:
		text += ", refused"
	case o.known:
		text += fmt.Sprintf(", response %d available, %d reserved, %d removed", o.stock.Available, o.stock.Reserved, o.stock.Removed)
	}
	return text
}

// checkTimeout limits the check of one product.
const checkTimeout = 30 * time.Second

// checkHistory checks that the history of a product is linearizable: that its operations took
// effect one after the other, each between its call and its response, in the order of the ledger.
//
// The model's state is the number of movements that have happened. A read must have the
// quantities of its state; a movement is the next row of the ledger.
func (c *checker) checkHistory(p client.Product) {
	ledger := c.ledgers[p.ID]
	states := make([]quantities, len(ledger)+1)
	for i, m := range ledger {
		states[i+1] = states[i].after(m)
	}
	initial := min(1, len(ledger)) // the quantity with which the product was created
	operations := c.operations(p.ID, ledger[initial:])
	model := porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, _ any) (bool, any) { return step(ledger, states, state.(int), input.(operation)) },
	}
	outcome, info := porcupine.CheckOperationsVerbose(model, operations, checkTimeout)
	switch outcome {
	case porcupine.Ok:
	case porcupine.Unknown:
		c.add(0, 0, p.ID, "has a history of %d operations that was not checked within %s", len(operations), checkTimeout)
	default:
		o := firstMissing(operations, info)
		c.add(1, o.sale, p.ID, "has a history that is not linearizable: no order of its operations explains %q", o)
	}
}

// step is the model: it returns whether an operation is possible in a state, and the next state.
func step(ledger []movement, states []quantities, state int, o operation) (bool, int) {
	q := states[state]
	switch {
	case o.refused && o.kind == reserved:
		return q.Available < o.quantity, state
	case o.refused:
		return q.Manual < o.quantity, state
	case o.kind == read:
		return o.matches(q), state
	case state == len(ledger):
		return false, state
	}
	m := ledger[state]
	if m.Kind != o.kind || m.Quantity != o.quantity || m.Sale != o.sale {
		return false, state
	}
	return !o.known || o.matches(states[state+1]), state + 1
}

// matches reports whether a response has these quantities.
func (o operation) matches(q quantities) bool {
	return o.stock.Available == q.Available && o.stock.Reserved == q.Reserved+q.Manual && o.stock.Removed == q.Removed
}

// operations returns the history of a product.
func (c *checker) operations(product int64, ledger []movement) []porcupine.Operation {
	var all []porcupine.Operation
	add := func(o operation, called, returned time.Duration) {
		all = append(all, porcupine.Operation{Input: o, Call: int64(called), Return: int64(returned)})
	}
	for _, m := range c.history.moves {
		if m.Product != product {
			continue
		}
		o := operation{kind: m.Kind, quantity: m.Count, known: m.Outcome == done, stock: m.Stock}
		exists := m.Kind != read && c.moved[keyOf(c.manager, m.Key)]
		switch {
		case m.Outcome == done:
			add(o, m.Called, m.Returned)
		case exists:
			add(o, m.Called, c.end)
		case m.Outcome == refused && m.Attempts == 1:
			o.refused = true
			add(o, m.Called, m.Returned)
		}
	}
	for _, m := range ledger {
		if m.Sale == 0 {
			continue
		}
		if o := c.orders[m.Sale]; o != nil {
			called, returned := c.bounds(o, m.Kind)
			add(operation{kind: m.Kind, quantity: m.Quantity, sale: m.Sale}, called, returned)
		}
	}
	return all
}

// bounds returns the times between which a movement of a sale has happened, by what its customer
// did and was told.
func (c *checker) bounds(o *order, kind string) (called, returned time.Duration) {
	called, returned = o.Called, c.end
	first := func(calls []call) time.Duration {
		earliest := o.Called
		for i, c := range calls {
			if i == 0 || c.Called < earliest {
				earliest = c.Called
			}
		}
		return earliest
	}
	switch {
	case kind == removed && o.Hold:
		called = first(o.Confirms)
	case kind == released && !o.Hold:
		called = first(o.Cancels)
	case kind == released:
		if expiry := o.ExpiresAt.Sub(c.history.began) - clockError; !o.ExpiresAt.IsZero() {
			called = max(o.Called, expiry)
		}
		if len(o.Cancels) > 0 {
			called = min(called, first(o.Cancels))
		}
	}
	for _, s := range o.Sightings {
		if s.Released || kind == reserved && s.Total != "" {
			returned = min(returned, s.Returned)
		}
	}
	for _, confirm := range o.Confirms {
		if kind == reserved && confirm.Outcome == done {
			returned = min(returned, confirm.Returned)
		}
	}
	return called, returned
}

// firstMissing returns the earliest operation that is not part of the longest order that the
// checker has found.
func firstMissing(operations []porcupine.Operation, info porcupine.LinearizationInfo) operation {
	var longest []int
	for _, partition := range info.PartialLinearizations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	missing := -1
	for i, o := range operations {
		if !slices.Contains(longest, i) && (missing < 0 || o.Return < operations[missing].Return) {
			missing = i
		}
	}
	if missing < 0 {
		return operation{kind: "unknown operation"}
	}
	return operations[missing].Input.(operation)
}

// readStocks reads each product at each endpoint after the load, so that the history ends with
// the quantities of the database.
func (r *round) readStocks(ctx context.Context) error {
	for _, p := range r.load.products {
		for _, endpoint := range r.load.endpoints.stock {
			m := move{Product: p.ID, Kind: read}
			m.Called = r.load.now()
			var err error
			if m.Stock, err = endpoint.Stock(ctx, r.load.manager, p.ID); err != nil {
				return fmt.Errorf("read the stock of product %d: %w", p.ID, err)
			}
			m.Returned, m.Outcome = r.load.now(), done
			r.load.addMove(m)
		}
	}
	return nil
}
