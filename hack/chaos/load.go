package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ecommerce-stack.dev/hack/internal/client"
)

// Sizes of the load. It is closed: a worker sends its next request after the response to the
// last one and a pause, so that a slow store gets fewer requests and the history stays small.
// options.Scale multiplies the number of customers and the quantities.
const (
	customers      = 16
	managers       = 2
	hotProducts    = 2
	coldProducts   = 6
	hotQuantity    = 40
	coldQuantity   = 400
	thinkTime      = 30 * time.Millisecond // mean time between two operations of a worker
	requestTimeout = 4 * time.Second
	maxAttempts    = 6
)

// load sends the random requests of one round.
type load struct {
	*history
	endpoints struct {
		sales, stock []*client.Client // gateways, and the services themselves
	}
	manager   client.User // of all managers
	customers []client.User
	products  []client.Product
	stop      context.Context // ends the load; operations that have begun are finished
}

// newLoad creates the accounts and products of a round.
func newLoad(ctx context.Context, s *store, seed uint64, scale int) (*load, error) {
	l := &load{history: newHistory()}
	transport := &http.Transport{MaxIdleConnsPerHost: customers*scale + managers, IdleConnTimeout: 10 * time.Second}
	for _, name := range s.replicas {
		c := &client.Client{URL: s.ServiceURL(name), HTTP: &http.Client{Timeout: requestTimeout, Transport: transport}}
		switch serviceOf(name) {
		case "gateway":
			l.endpoints.sales = append(l.endpoints.sales, c)
			l.endpoints.stock = append(l.endpoints.stock, c)
		case "sales":
			l.endpoints.sales = append(l.endpoints.sales, c)
		case "stock":
			l.endpoints.stock = append(l.endpoints.stock, c)
		}
	}
	gateway := &client.Client{URL: s.URL}
	var err error
	if l.manager, err = gateway.Login(ctx, s.ManagerEmail, s.ManagerPassword); err != nil {
		return nil, fmt.Errorf("log in as the manager: %w", err)
	}
	s.rounds++
	l.customers = make([]client.User, customers*scale)
	registrations, registering := errgroup.WithContext(ctx)
	registrations.SetLimit(8)
	for i := range l.customers {
		registrations.Go(func() error {
			name := fmt.Sprintf("c%d-%d-%d", seed, s.rounds, i)
			var err error
			l.customers[i], err = gateway.Register(registering, name, name+"@example.com", "a long password of "+name)
			return err
		})
	}
	if err := registrations.Wait(); err != nil {
		return nil, fmt.Errorf("register a customer: %w", err)
	}
	for i := range hotProducts + coldProducts {
		quantity := int64(coldQuantity * scale)
		if i < hotProducts {
			quantity = int64(hotQuantity * scale)
		}
		p := client.Product{Name: fmt.Sprintf("Product %d of round %d", i, seed), Price: fmt.Sprintf("%d.25", i+1), Quantity: quantity}
		created, err := gateway.AddProduct(ctx, l.manager, p)
		if err != nil {
			return nil, fmt.Errorf("create a product: %w", err)
		}
		created.Quantity = quantity
		l.products = append(l.products, created)
	}
	return l, nil
}

// run sends requests until ctx ends, and returns when the last operation has ended.
func (l *load) run(ctx context.Context, seed uint64) {
	l.stop = ctx
	var workers sync.WaitGroup
	for i, customer := range l.customers {
		w := &worker{load: l, random: rand.New(rand.NewPCG(seed, uint64(i))), customer: customer, name: fmt.Sprintf("%d-%d", seed, i)}
		workers.Go(func() { w.repeat(w.shop) })
	}
	for i := range managers {
		w := &worker{load: l, random: rand.New(rand.NewPCG(seed, uint64(1000+i))), name: fmt.Sprintf("%d-m%d", seed, i)}
		workers.Go(func() { w.repeat(w.manage) })
	}
	workers.Wait()
}

// worker is a customer or a manager. Its operations follow from its random numbers; their
// results depend on the store.
type worker struct {
	*load
	random   *rand.Rand
	customer client.User
	name     string
	sent     int
	orders   []*order // that have an id
	holds    []*order // that the customer has not confirmed or canceled
}

func (w *worker) repeat(operate func()) {
	for w.stop.Err() == nil {
		operate()
		w.wait(time.Duration(w.random.Int64N(int64(2 * thinkTime))))
	}
}

// wait waits, but not beyond the end of the load.
func (w *worker) wait(d time.Duration) {
	select {
	case <-w.stop.Done():
	case <-time.After(d):
	}
}

func (w *worker) key() string {
	w.sent++
	return fmt.Sprintf("%s-%d", w.name, w.sent)
}

// attempt repeats a request until a response decides it, at different endpoints.
func (w *worker) attempt(c *call, endpoints []*client.Client, send func(context.Context, *client.Client) error) {
	c.Called = w.now()
	uncertain := false
	for c.Outcome = unknown; c.Attempts < maxAttempts; {
		c.Attempts++
		err := w.sendOnce(endpoints[w.random.IntN(len(endpoints))], send)
		c.Status, c.Code = statusOf(err)
		if err == nil {
			c.Outcome = done
			break
		}
		if isFinal(c.Status, c.Code) {
			// The effect of an earlier attempt may be the reason, or may follow.
			if !uncertain {
				c.Outcome = refused
			}
			break
		}
		uncertain = uncertain || c.Status == 0 || c.Status >= 500
		w.wait(time.Duration(w.random.Int64N(int64(100*time.Millisecond) << min(c.Attempts, 4))))
	}
	c.Returned = w.now()
}

// sendOnce sends one request. It does not end with the load.
func (w *worker) sendOnce(endpoint *client.Client, send func(context.Context, *client.Client) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.stop), requestTimeout)
	defer cancel()
	err := send(ctx, endpoint)
	status, _ := statusOf(err)
	w.count(status)
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusServiceUnavailable && p.RetryAfter == "" {
		w.count(noRetryAfterKey)
	}
	return err
}

// statusOf returns the status and the code of a response: 200 without an error, 0 without a
// response.
func statusOf(err error) (int, string) {
	if err == nil {
		return http.StatusOK, ""
	}
	if p, ok := errors.AsType[*client.Problem](err); ok {
		return p.Status, p.Code
	}
	return 0, ""
}

// isFinal reports whether a response says that a repeat has the same result.
func isFinal(status int, code string) bool {
	switch status {
	case http.StatusConflict:
		return code != "idempotency_in_progress" && code != "stock_not_reserved"
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return false
	}
	return status >= 400 && status < 500
}

// shop does one operation of a customer.
func (w *worker) shop() {
	switch n := w.random.IntN(100); {
	case n < 40:
		w.order(false)
	case n < 58:
		w.order(true)
	case n < 68 && len(w.holds) > 0:
		w.confirm(w.takeHold())
	case n < 73 && len(w.holds) > 0:
		w.confirmLate(w.takeHold())
	case n < 80 && len(w.holds) > 0:
		w.cancel(w.takeHold())
	case n < 85 && len(w.orders) > 0:
		w.cancel(w.orders[len(w.orders)-1]) // perhaps before stock has received it
	case n < 90 && len(w.orders) > 0:
		w.repeatOrder(w.orders[w.random.IntN(len(w.orders))])
	case len(w.orders) > 0:
		w.look(w.orders[max(0, len(w.orders)-1-w.random.IntN(10))])
	default:
		w.order(false)
	}
}

func (w *worker) takeHold() *order {
	i := w.random.IntN(len(w.holds))
	o := w.holds[i]
	w.holds = append(w.holds[:i], w.holds[i+1:]...)
	return o
}

// basket returns one to three products. Hot products are as frequent as all others together.
func (w *worker) basket() []client.Item {
	var items []client.Item
	first := w.random.IntN(len(w.products))
	if w.random.IntN(2) == 0 {
		first = w.random.IntN(hotProducts)
	}
	for i := range 1 + w.random.IntN(3) {
		items = append(items, client.Item{ProductID: w.products[(first+i*3)%len(w.products)].ID, Quantity: 1 + w.random.Int64N(3)})
	}
	return items
}

// placed is a response with a sale.
type placed struct {
	client.Sale
	ExpiresAt time.Time `json:"expiresAt"`
}

func (w *worker) place(ctx context.Context, c *client.Client, o *order) (placed, error) {
	var s placed
	header := []string{"Idempotency-Key", o.Key}
	err := c.Do(ctx, o.Customer, http.MethodPost, "/sales", map[string]any{"items": o.Items, "hold": o.Hold}, &s, header...)
	return s, err
}

// order places an order, one of eight twice at the same time.
func (w *worker) order(hold bool) {
	o := &order{Key: w.key(), Customer: w.customer, Hold: hold, Items: w.basket()}
	w.addOrder(o)
	var twin sync.WaitGroup
	var twinID int64
	if w.random.IntN(8) == 0 {
		endpoint := w.endpoints.sales[w.random.IntN(len(w.endpoints.sales))]
		twin.Go(func() {
			_ = w.sendOnce(endpoint, func(ctx context.Context, c *client.Client) error {
				s, err := w.place(ctx, c, o)
				twinID = s.ID
				return err
			})
		})
	}
	w.attempt(&o.call, w.endpoints.sales, func(ctx context.Context, c *client.Client) error {
		s, err := w.place(ctx, c, o)
		if err == nil {
			o.saw(s.ID)
			o.ExpiresAt = s.ExpiresAt
		}
		return err
	})
	twin.Wait()
	if twinID != 0 {
		o.saw(twinID)
		o.Outcome, o.Returned = done, w.now()
	}
	if o.Outcome != done {
		return
	}
	w.count(acceptedKey)
	w.orders = append(w.orders, o)
	if hold && !o.ExpiresAt.IsZero() {
		w.holds = append(w.holds, o)
	}
}

// repeatOrder sends an order again whose response was received.
func (w *worker) repeatOrder(o *order) {
	_ = w.sendOnce(w.endpoints.sales[w.random.IntN(len(w.endpoints.sales))], func(ctx context.Context, c *client.Client) error {
		s, err := w.place(ctx, c, o)
		if err == nil {
			o.saw(s.ID)
		}
		return err
	})
}

func (w *worker) confirm(o *order) {
	var c call
	w.attempt(&c, w.endpoints.sales, func(ctx context.Context, c *client.Client) error {
		_, err := c.Confirm(ctx, o.Customer, o.id())
		return err
	})
	o.Confirms = append(o.Confirms, c)
}

// confirmLate confirms a hold after it has expired, also before the store has canceled it.
func (w *worker) confirmLate(o *order) {
	w.wait(time.Until(o.ExpiresAt) + time.Duration(w.random.Int64N(int64(2*time.Second))))
	w.confirm(o)
}

func (w *worker) cancel(o *order) {
	var c call
	w.attempt(&c, w.endpoints.sales, func(ctx context.Context, c *client.Client) error {
		return c.Cancel(ctx, o.Customer, o.id())
	})
	o.Cancels = append(o.Cancels, c)
}

// look reads a sale, or its timeline.
func (w *worker) look(o *order) {
	s := sighting{Called: w.now()}
	err := w.sendOnce(w.endpoints.sales[w.random.IntN(len(w.endpoints.sales))], func(ctx context.Context, c *client.Client) error {
		if w.sent++; w.sent%2 == 0 {
			var page struct{ Items []struct{ Type string } }
			err := c.Do(ctx, o.Customer, http.MethodGet, fmt.Sprintf("/sales/%d/events", o.id()), nil, &page)
			for _, entry := range page.Items {
				s.Released = s.Released || entry.Type == "StockReleased" || entry.Type == "StockCanceled"
			}
			return err
		}
		sale, err := c.Sale(ctx, o.Customer, o.id())
		s.Status, s.Total = sale.Status, sale.TotalAmount
		return err
	})
	if err == nil || errors.As(err, new(*client.Problem)) {
		s.Returned = w.now()
	}
	if status, _ := statusOf(err); status == http.StatusNotFound {
		s.Status = "not found"
	} else if err != nil {
		return
	}
	o.Sightings = append(o.Sightings, s)
}

// manage does one operation of a manager.
func (w *worker) manage() {
	product := w.products[w.random.IntN(len(w.products))]
	if w.random.IntN(2) == 0 {
		product = w.products[w.random.IntN(hotProducts)]
	}
	m := move{Product: product.ID, Kind: read, Count: 1 + w.random.Int64N(6)}
	switch n := w.random.IntN(100); {
	case n < 20:
		m.Kind = received
		m.Count *= 2
	case n < 35:
		m.Kind = reserved
	case n < 43:
		m.Kind = released
	case n < 50:
		m.Kind = removed
	default:
	}
	w.move(&m)
	w.addMove(m)
}

// paths are the operations that move stock.
var paths = map[string]struct{ method, verb string }{
	received: {http.MethodPost, "receive"}, reserved: {http.MethodPost, "reserve"},
	released: {http.MethodPost, "release"}, removed: {http.MethodDelete, "remove"},
}

func (w *worker) move(m *move) {
	if m.Kind != read {
		m.Key = w.key()
	}
	w.attempt(&m.call, w.endpoints.stock, func(ctx context.Context, c *client.Client) error {
		if m.Kind == read {
			var err error
			m.Stock, err = c.Stock(ctx, w.manager, m.Product)
			return err
		}
		p := paths[m.Kind]
		return c.Do(ctx, w.manager, p.method, fmt.Sprintf("/stock/%d/%s/%d", m.Product, p.verb, m.Count), nil, &m.Stock, "Idempotency-Key", m.Key)
	})
}
