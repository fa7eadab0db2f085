package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

// Ids of the examples.
const (
	testManager  = 1
	testCustomer = 2
	testProduct  = 7
	testSale     = 42
)

// example is a round with one product, of which 10 were received, and one confirmed sale of 2.
func example() *checker {
	began := time.Now().Add(-time.Minute)
	o := &order{Key: "k", Customer: client.User{ID: testCustomer}, Items: []client.Item{{ProductID: testProduct, Quantity: 2}}, Sales: []int64{testSale},
		call: call{Called: time.Second, Returned: 2 * time.Second, Outcome: done, Attempts: 1}}
	return &checker{
		history:  &history{began: began, orders: []*order{o}, statuses: map[int]int{200: 1}},
		products: []client.Product{{ID: testProduct, Price: "3.25", Quantity: 10}}, manager: testManager, end: time.Minute, poison: map[string]bool{"poison": true},
		snapshot: &snapshot{
			sales: map[int64]*saleRow{testSale: {ID: testSale, Customer: testCustomer, Status: "Confirmed", Items: map[int64]int64{testProduct: 2}, Total: "6.50",
				CreatedAt: began.Add(time.Second), UpdatedAt: began.Add(2 * time.Second)}},
			requests:     map[requestKey]int64{keyOf(testCustomer, "k"): testSale},
			moved:        map[requestKey]bool{},
			timelines:    map[int64][]string{testSale: {"SaleCreated", "SaleItemsReservedResponse", "SaleConfirmed", "StockReleased"}},
			reservations: map[int64]string{testSale: "Removed"},
			ledgers: map[int64][]movement{testProduct: {
				{ID: 1, Product: testProduct, Kind: received, Quantity: 10, Actor: testManager},
				{ID: 2, Product: testProduct, Kind: reserved, Quantity: 2, Sale: testSale},
				{ID: 3, Product: testProduct, Kind: removed, Quantity: 2, Sale: testSale},
			}},
			stocks:      map[int64]quantities{testProduct: {Available: 8, Removed: 2}},
			deadLetters: map[string]string{"poison": "stock.sale-events"},
		},
	}
}

func TestCheckerAcceptsCorrectRound(t *testing.T) {
	t.Parallel()
	c := example()
	c.check()
	if len(c.found) > 0 {
		t.Errorf("violations: %v", c.found)
	}
}

// move adds an operation of the manager.
func (c *checker) move(kind string, count int64, from, to time.Duration, o outcome, stock client.Stock) {
	c.history.moves = append(c.history.moves, move{Product: testProduct, Kind: kind, Count: count, Key: "m", Stock: stock,
		call: call{Called: from, Returned: to, Outcome: o, Attempts: 1}})
}

func TestCheckerFindsViolations(t *testing.T) {
	t.Parallel()
	second := time.Second
	for name, test := range map[string]struct {
		change    func(c *checker)
		invariant int
		text      string
	}{
		"a lost update of the stock": {func(c *checker) { c.stocks[testProduct] = quantities{Available: 10} }, 1, "sum of its ledger"},
		"an oversold product": {func(c *checker) {
			c.ledgers[testProduct][0].Quantity, c.stocks[testProduct] = 1, quantities{Available: -1, Removed: 2}
		}, 2, "quantities"},
		"a lost sale":    {func(c *checker) { delete(c.sales, testSale) }, 3, "was acknowledged, and does not exist"},
		"an unread sale": {func(c *checker) { c.order().Sightings = []sighting{{Status: "not found"}} }, 3, "was not found"},
		"a final status that changed": {func(c *checker) {
			c.order().Sightings = []sighting{{Called: 3 * second, Returned: 4 * second, Status: "Canceled"}}
		}, 3, "was Canceled in a response, and is Confirmed"},
		"a confirmation after the expiry": {func(c *checker) {
			c.order().Hold, c.sales[testSale].Hold, c.order().ExpiresAt = true, true, c.history.began.Add(5*second)
			c.order().Confirms = []call{{Called: 8 * second, Returned: 9 * second, Outcome: done}}
		}, 3, "after it had expired"},
		"a hold that confirms itself":             {func(c *checker) { c.order().Hold, c.sales[testSale].Hold = true, true }, 3, "without its customer"},
		"a cancellation that was ignored":         {func(c *checker) { c.order().Cancels = []call{{Outcome: done}} }, 3, "was canceled with 204, and is Confirmed"},
		"other items":                             {func(c *checker) { c.order().Items[0].Quantity = 3 }, 3, "ordered were"},
		"a refused order with a sale":             {func(c *checker) { c.order().Outcome = refused }, 3, "although its order was refused"},
		"a decision without a response":           {func(c *checker) { c.timelines[testSale] = c.timelines[testSale][:3] }, 3, "timeline"},
		"a sale without a price":                  {func(c *checker) { c.sales[testSale].Total = "0.00" }, 4, "total"},
		"a sale that was removed twice":           {func(c *checker) { c.addMovement(movement{ID: 4, Kind: removed, Quantity: 2, Sale: testSale}) }, 4, "movements"},
		"a confirmed sale that was not removed":   {func(c *checker) { c.ledgers[testProduct] = c.ledgers[testProduct][:2] }, 4, "movements"},
		"a movement without a sale":               {func(c *checker) { c.addMovement(movement{ID: 4, Kind: reserved, Quantity: 1, Sale: 99}) }, 4, "does not exist"},
		"a canceled sale with stock":              {func(c *checker) { c.sales[testSale].Status = "Canceled" }, 5, "Canceled"},
		"a reservation without a sale":            {func(c *checker) { c.reservations[99] = "Reserved" }, 5, "does not exist"},
		"a pending sale with stock":               {func(c *checker) { c.sales[testSale].Status = "Pending" }, 5, "Pending"},
		"a dead letter that was not poison":       {func(c *checker) { c.deadLetters["other"] = "x" }, 6, "message other"},
		"two sales of one key":                    {func(c *checker) { c.order().saw(43) }, 7, "sale 42 is stored"},
		"a sale without a stored response":        {func(c *checker) { c.sales[43] = &saleRow{ID: 43} }, 7, "no order with a stored response"},
		"a movement that was acknowledged, only":  {func(c *checker) { c.move(received, 1, 0, second, done, client.Stock{}) }, 7, "no stored response"},
		"an unexpected status":                    {func(c *checker) { c.history.statuses[500] = 2 }, 0, "2 responses have the status 500"},
		"a status 503 without Retry-After":        {func(c *checker) { c.history.statuses[noRetryAfterKey] = 2 }, 0, "2 responses with the status 503 have no Retry-After"},
		"a read of quantities that never existed": {func(c *checker) { c.move(read, 0, 0, second, done, client.Stock{Available: 9}) }, 1, "not linearizable"},
		"a read before its time": {func(c *checker) {
			c.move(read, 0, 0, second/2, done, client.Stock{Available: 8, Removed: 2})
		}, 1, "not linearizable"},
		"a stale read": {func(c *checker) {
			c.order().Sightings = []sighting{{Called: 3 * second, Returned: 4 * second, Released: true}}
			c.move(read, 0, 5*second, 6*second, done, client.Stock{Available: 10})
		}, 1, "not linearizable"},
		"a refusal without a reason": {func(c *checker) { c.move(reserved, 5, 0, second, refused, client.Stock{}) }, 1, "not linearizable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := example()
			test.change(c)
			c.check()
			if !slices.ContainsFunc(c.found, func(v violation) bool {
				return v.Invariant == test.invariant && strings.Contains(v.String(), test.text)
			}) {
				t.Errorf("found %v, want a violation of invariant %d with %q", c.found, test.invariant, test.text)
			}
		})
	}
}

// order returns the order of the example.
func (c *checker) order() *order { return c.history.orders[0] }

// addMovement adds a row to the ledger, and to the quantities.
func (c *checker) addMovement(m movement) {
	m.Product = testProduct
	c.ledgers[testProduct] = append(c.ledgers[testProduct], m)
	c.stocks = maps.Clone(c.stocks)
	c.stocks[testProduct] = c.stocks[testProduct].after(m)
}

func TestHistoryOfManagersIsChecked(t *testing.T) {
	t.Parallel()
	c := example()
	c.ledgers[testProduct] = append(c.ledgers[testProduct], movement{ID: 4, Product: testProduct, Kind: reserved, Quantity: 3, Actor: testManager})
	c.stocks[testProduct] = quantities{Available: 5, Manual: 3, Removed: 2}
	c.moved[keyOf(testManager, "m")] = true
	c.move(reserved, 3, 3*time.Second, 4*time.Second, done, client.Stock{Available: 5, Reserved: 3, Removed: 2})
	c.move(read, 0, 5*time.Second, 6*time.Second, done, client.Stock{Available: 5, Reserved: 3, Removed: 2})
	c.move(removed, 4, 5*time.Second, 6*time.Second, refused, client.Stock{})
	c.history.moves[2].Key = "refused"
	c.check()
	if len(c.found) > 0 {
		t.Errorf("violations: %v", c.found)
	}
}
