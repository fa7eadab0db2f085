package main

import (
	"slices"
	"sync"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

// outcome is what a client knows about the effect of an operation.
type outcome string

const (
	done    outcome = "done"    // a response says that it has the effect
	refused outcome = "refused" // a response says that it has none
	unknown outcome = "unknown" // no attempt got a response that decides
)

// call is an operation of a client, with all of its attempts. Times count from the start of the
// history.
type call struct {
	Called, Returned time.Duration
	Outcome          outcome
	Status           int    // of the last response, 0 without one
	Code             string // of the last problem
	Attempts         int
}

// order is a sale that a customer has tried to place, with what the customer was told about it.
type order struct {
	call
	Key      string
	Customer client.User
	Hold     bool
	Items    []client.Item
	// Sales are the different ids in the responses. More than one violates the key.
	Sales     []int64
	ExpiresAt time.Time
	Confirms  []call
	Cancels   []call
	Sightings []sighting
}

// sighting is a response that describes a sale.
type sighting struct {
	Called, Returned time.Duration
	Status           string
	Total            string
	Released         bool // the timeline has StockReleased or StockCanceled
}

// saw adds the id of a response to the order.
func (o *order) saw(id int64) {
	if !slices.Contains(o.Sales, id) {
		o.Sales = append(o.Sales, id)
	}
}

// id returns the sale of an order, or 0 if no response has named it.
func (o *order) id() int64 {
	if len(o.Sales) == 0 {
		return 0
	}
	return o.Sales[0]
}

// Kinds of movements, as in the ledger of stock.
const (
	received = "received"
	reserved = "reserved"
	released = "released"
	removed  = "removed"
	// read is the operation that moves nothing.
	read = "read"
)

// move is an operation of a manager on the stock of a product.
type move struct {
	call
	Key     string
	Product int64
	Kind    string
	Count   int64
	Stock   client.Stock // in the response if Outcome is done
}

// history records what clients do, and what they are told. It is safe for concurrent use; an
// order belongs to the worker of its customer until the load has ended.
type history struct {
	began time.Time

	mu       sync.Mutex
	orders   []*order
	moves    []move
	statuses map[int]int // responses by HTTP status, 0 for none
}

func newHistory() *history { return &history{began: time.Now(), statuses: map[int]int{}} }

// now returns the time since the start of the history. It does not jump with the clock.
func (h *history) now() time.Duration { return time.Since(h.began) }

func (h *history) addOrder(o *order) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.orders = append(h.orders, o)
}

func (h *history) addMove(m move) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moves = append(h.moves, m)
}

func (h *history) count(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.statuses[status]++
}

// progress returns the numbers of orders, and of those that were acknowledged.
func (h *history) progress() (placed, acknowledged int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.orders), h.statuses[acceptedKey]
}

// Keys of other numbers in history.statuses: acknowledged orders, and responses with the status 503 that do
// not say when to retry.
const (
	acceptedKey     = -1
	noRetryAfterKey = -2
)
