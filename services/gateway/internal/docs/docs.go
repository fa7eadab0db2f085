// Package docs serves the merged OpenAPI document, and a page that shows it to people.
package docs

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/singleflight"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/internal/static"
)

const (
	fetchTimeout = 3 * time.Second
	// freshFor is how long a merged document is served without a look at the services: it
	// changes only with releases.
	freshFor = time.Minute
)

// Source is a service that has a document.
type Source interface {
	Name() string
	Document(ctx context.Context, timeout time.Duration) ([]byte, error)
}

// Documents serves the merged document. It fetches those of the services when it is first
// asked for, and later in the background; a service that does not respond then keeps its
// previous document. All requests share one fetch.
type Documents struct {
	sources     []Source
	forwardedOf openapi.ForwardedOf
	fetch       singleflight.Group
	current     atomic.Pointer[merged]

	mu    sync.Mutex
	known map[string][]byte
}

type merged struct {
	*static.Document
	at time.Time
}

// New returns the documents of the given services.
func New(sources []Source, forwardedOf openapi.ForwardedOf) *Documents {
	return &Documents{sources: sources, forwardedOf: forwardedOf, known: map[string][]byte{}}
}

// Serve serves GET /openapi.json.
func (d *Documents) Serve(ctx *fasthttp.RequestCtx) error {
	doc := d.current.Load()
	if doc == nil || time.Since(doc.at) > freshFor {
		fetched := d.fetch.DoChan("", func() (any, error) { return nil, d.refresh(context.Background()) })
		if doc == nil {
			if res := <-fetched; res.Err != nil {
				return res.Err
			}
			doc = d.current.Load()
		}
	}
	return doc.Serve(ctx)
}

// refresh fetches and merges the documents.
func (d *Documents) refresh(ctx context.Context) error {
	errs := d.fetchAll(ctx)
	services := make([]openapi.Service, 0, len(d.sources))
	for _, s := range d.sources {
		doc, ok := d.known[s.Name()]
		if !ok {
			return failure.Unavailable(time.Second, errs)
		}
		services = append(services, openapi.Service{Name: s.Name(), Document: doc})
	}
	body, err := openapi.Merge(services, d.forwardedOf)
	if err != nil {
		return err
	}
	d.current.Store(&merged{static.New(openapi.ContentType, body), time.Now()})
	return nil
}

// fetchAll asks every service at the same time.
func (d *Documents) fetchAll(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(d.sources))
	for i, s := range d.sources {
		wg.Go(func() {
			doc, err := s.Document(ctx, fetchTimeout)
			if errs[i] = err; err != nil {
				return
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.known[s.Name()] = doc
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
