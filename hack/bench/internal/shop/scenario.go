package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	crand "crypto/rand"

	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/hack/bench/internal/wire"
	"ecommerce-stack.dev/services/event"
)

// Scenario is a kind of visit.
type Scenario interface {
	// Name returns a word, About a description in one line.
	Name() string
	About() string
	// Visit runs one visit of a customer. began is its intended start.
	Visit(ctx context.Context, d *Client, r *rand.Rand, began time.Time) error
}

// Client sends the requests of visits and measures their latencies.
type Client struct {
	shop    *Shop
	client  *wire.Client
	watcher *SaleWatcher

	mu      sync.Mutex
	posted  []float64 // milliseconds of each POST /sales
	read    []float64
	placed  int64
	maximum int // of concurrent sagas in a closed loop; 0 in an open one
}

// errUnexpectedStatus is wrapped by errors of responses with an unexpected status.
var errUnexpectedStatus = errors.New("unexpected status")

func unexpectedStatus(r wire.Request, a wire.Response) error {
	return fmt.Errorf("%w: %s %s: %d %s", errUnexpectedStatus, r.Method, r.Path, a.Status, a.Body)
}

// Customer returns the Authorization header of a random customer.
func (d *Client) Customer(r *rand.Rand) string { return d.shop.tokens[r.IntN(len(d.shop.tokens))] }

// Place creates a sale and observes it until it is decided.
func (d *Client) Place(ctx context.Context, customer string, items []event.Item, hold bool, began time.Time) (*PlacedSale, error) {
	if err := d.watcher.Acquire(ctx); err != nil {
		return nil, err
	}
	if d.maximum > 0 {
		began = time.Now() // Exclude the wait for a slot.
	}
	body, err := json.Marshal(struct {
		Items []event.Item `json:"items"`
		Hold  bool         `json:"hold,omitempty"`
	}{items, hold})
	if err != nil {
		return nil, err
	}
	request := wire.Request{Method: http.MethodPost, Path: "/sales", Header: customer + "Idempotency-Key: " + crand.Text() + "\r\n", Body: body}
	a, err := d.client.Do(ctx, request)
	if err != nil {
		return nil, err
	}
	took := since(began)
	if a.Status != http.StatusAccepted {
		return nil, unexpectedStatus(request, a)
	}
	id, err := strconv.ParseInt(strings.TrimPrefix(a.Location, "/sales/"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("POST /sales: Location %q: %w", a.Location, err)
	}
	p := &PlacedSale{ID: id, Hold: hold, Began: began}
	for _, i := range items {
		p.Quantity += i.Quantity
	}
	d.watcher.Add(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.placed++
	d.posted = append(d.posted, took)
	return p, nil
}

func since(began time.Time) float64 { return float64(time.Since(began)) / float64(time.Millisecond) }

// Do sends a request and returns an error if the status of the response is not want.
func (d *Client) Do(ctx context.Context, customer, method, path string, want int) error {
	request := wire.Request{Method: method, Path: path, Header: customer}
	a, err := d.client.Do(ctx, request)
	if err != nil {
		return err
	}
	if a.Status != want {
		return unexpectedStatus(request, a)
	}
	return nil
}

// orders is a scenario in which every visit creates one sale.
type orders struct {
	name, about string
	mix         mix.Mix
}

func (o orders) Name() string  { return o.name }
func (o orders) About() string { return o.about }

func (o orders) Visit(ctx context.Context, d *Client, r *rand.Rand, began time.Time) error {
	_, err := d.Place(ctx, d.Customer(r), o.mix(r), false, began)
	return err
}
