package docs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/compression"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/internal/problem"
)

const (
	fetchTimeout = 3 * time.Second
	// keep is how long a document serves: it changes with releases alone.
	keep = time.Minute
)

// Documents serves the merged document. It asks the services when it is first asked
// for, and again after a while; one that does not answer then keeps its document.
type Documents struct {
	upstreams []*proxy.Upstream
	routeOf   RouteOf

	mu     sync.Mutex
	known  map[string][]byte
	merged *compression.Body
	at     time.Time
}

// New asks the given upstreams.
func New(upstreams []*proxy.Upstream, routeOf RouteOf) *Documents {
	return &Documents{upstreams: upstreams, routeOf: routeOf, known: map[string][]byte{}}
}

// ServeHTTP answers GET /openapi.json.
func (d *Documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := d.document(r.Context())
	if err != nil {
		problem.Write(w, r, problem.From(err))
		return
	}
	w.Header().Set("Content-Type", "application/openapi+json")
	w.Header().Set("Cache-Control", "no-cache")
	body.Send(w, r, http.StatusOK)
}

func (d *Documents) document(ctx context.Context) (*compression.Body, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.merged != nil && time.Since(d.at) < keep {
		return d.merged, nil
	}
	errs := d.refresh(context.WithoutCancel(ctx))
	services := make([]Service, 0, len(d.upstreams))
	for _, u := range d.upstreams {
		doc, ok := d.known[u.Name()]
		if !ok {
			return nil, problem.Unavailable(time.Second).Because(errs)
		}
		services = append(services, Service{Name: u.Name(), Document: doc})
	}
	merged, err := Merge(services, d.routeOf)
	if err != nil {
		return nil, err
	}
	d.merged, d.at = compression.NewBody(merged), time.Now()
	return d.merged, nil
}

// refresh asks every upstream at once.
func (d *Documents) refresh(ctx context.Context) error {
	answers, errs := make([]proxy.Answer, len(d.upstreams)), make([]error, len(d.upstreams))
	var wg sync.WaitGroup
	for i, u := range d.upstreams {
		wg.Go(func() {
			answers[i], errs[i] = u.Fetch(ctx, "/openapi.json", "", fetchTimeout)
			if errs[i] == nil && answers[i].Status != http.StatusOK {
				errs[i] = fmt.Errorf("%s answered %d", u.Name(), answers[i].Status)
			}
		})
	}
	wg.Wait()
	for i, u := range d.upstreams {
		if errs[i] == nil {
			d.known[u.Name()] = answers[i].Body
		}
	}
	return errors.Join(errs...)
}
