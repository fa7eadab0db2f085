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

// Scenario is a way to use the shop.
type Scenario interface {
	// Name is a word, About a line.
	Name() string
	About() string
	// Visit is one visit of a customer. began is when it was meant to begin.
	Visit(ctx context.Context, d *Door, r *rand.Rand, began time.Time) error
}

// Door is what a visit of the shop works with, and where it is timed.
type Door struct {
	shop   *Shop
	client *wire.Client
	watch  *Watch

	mu      sync.Mutex
	posted  []float64 // milliseconds of each POST /sales
	read    []float64
	placed  int64
	maximum int // visits at once, when the loop is closed
}

// errRefused is an answer that no scenario expects.
var errRefused = errors.New("the system refused")

func refused(r wire.Request, a wire.Answer) error {
	return fmt.Errorf("%w: %s %s: %d %s", errRefused, r.Method, r.Path, a.Status, a.Body)
}

// Customer draws one.
func (d *Door) Customer(r *rand.Rand) string { return d.shop.tokens[r.IntN(len(d.shop.tokens))] }

// Place orders items and follows the sale.
func (d *Door) Place(ctx context.Context, customer string, items []event.Item, hold bool, began time.Time) (*Placed, error) {
	if err := d.watch.Enter(ctx); err != nil {
		return nil, err
	}
	if d.maximum > 0 {
		began = time.Now() // The wait for a place is the bench's own.
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
		return nil, refused(request, a)
	}
	id, err := strconv.ParseInt(strings.TrimPrefix(a.Location, "/sales/"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("POST /sales: Location %q: %w", a.Location, err)
	}
	p := &Placed{ID: id, Hold: hold, Began: began}
	for _, i := range items {
		p.Goods += i.Quantity
	}
	d.watch.Add(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.placed++
	d.posted = append(d.posted, took)
	return p, nil
}

func since(began time.Time) float64 { return float64(time.Since(began)) / float64(time.Millisecond) }

// Do sends another request and says whether its answer has the wanted status.
func (d *Door) Do(ctx context.Context, customer, method, path string, want int) error {
	request := wire.Request{Method: method, Path: path, Header: customer}
	a, err := d.client.Do(ctx, request)
	if err != nil {
		return err
	}
	if a.Status != want {
		return refused(request, a)
	}
	return nil
}

// orders is a scenario in which every visit is one order.
type orders struct {
	name, about string
	mix         mix.Mix
}

func (o orders) Name() string  { return o.name }
func (o orders) About() string { return o.about }

func (o orders) Visit(ctx context.Context, d *Door, r *rand.Rand, began time.Time) error {
	_, err := d.Place(ctx, d.Customer(r), o.mix(r), false, began)
	return err
}
