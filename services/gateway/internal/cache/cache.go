// Package cache stores responses to public reads, so that most of them cost neither the
// service nor its database anything (RFC 9111, as a shared cache that its origin controls).
//
// A response is stored for a while, and dropped when an event says that it is stale. While
// no events arrive, because the broker is not connected, responses are stored for a second
// only. Concurrent requests for one response that is not stored make one call. When that
// call fails, the previous response serves for some minutes more (RFC 5861).
package cache

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/bounded"
	"ecommerce-stack.dev/services/internal/compression"
	"ecommerce-stack.dev/services/internal/telemetry"
)

const (
	// disconnectedTTL is how long a response is fresh while no events arrive.
	disconnectedTTL = time.Second
	// staleFor is how long after that it may serve when the upstream does not.
	staleFor = 5 * time.Minute
	// entryOverhead is roughly what an entry takes beside its body and the compressed form
	// of that, in bytes.
	entryOverhead = 512
)

// Response is what a call returned.
type Response struct {
	Status int
	// Fields are those of Stored that the response has, by their position.
	Fields [len(Stored)]string
	Body   []byte
}

// Stored are the header fields of a response that are stored. The first is its entity tag.
var Stored = [...]string{"Etag", fasthttp.HeaderContentType, fasthttp.HeaderRetryAfter, fasthttp.HeaderLastModified}

// Fetch makes the call for a response.
type Fetch func(ctx context.Context) (Response, error)

// Key identifies a response.
type Key struct {
	// List is set for a list; Text is its path and query then. Otherwise Text is the path
	// of an item.
	List bool
	Text string
}

type entry struct {
	Response
	at   time.Time
	body *compression.Body
}

// flight is a call in flight. A change in the meantime makes its response unfit to be
// stored, and for requests that come after the change.
type flight struct {
	done    chan struct{}
	entry   entry
	err     error
	changed bool
}

// Cache is safe for concurrent use.
type Cache struct {
	ttl       time.Duration
	now       func() time.Time
	connected atomic.Bool
	items     bounded.Cache[*entry]
	lists     bounded.Cache[*entry]
	results   *prometheus.CounterVec
	hits      prometheus.Counter

	mu      sync.Mutex
	flights map[Key]*flight
}

// New returns a cache that stores responses for up to ttl, or none if ttl is 0, in up to
// maxBytes for items and as much for lists.
func New(ttl time.Duration, maxBytes uint64, reg prometheus.Registerer) *Cache {
	options := bounded.Options[*entry]{
		Max:    maxBytes,
		Weight: func(k string, e *entry) uint32 { return uint32(len(k) + len(e.Body)*3/2 + entryOverhead) },
		TTL:    ttl + staleFor,
	}
	c := &Cache{
		ttl: ttl, now: time.Now, items: bounded.New(options), lists: bounded.New(options), flights: map[Key]*flight{},
		results: telemetry.NewCounterVec("gateway_cache_results_total",
			"Reads of what is cached: hit, miss, shared (another request's call), stale or error.",
			"result", "hit", "miss", "shared", "stale", "error"),
	}
	c.hits = c.results.WithLabelValues("hit")
	reg.MustRegister(c.results, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gateway_cache_bytes", Help: "Bytes used by cached responses.",
	}, func() float64 { return float64(c.items.Weight() + c.lists.Weight()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gateway_cache_invalidation_connected", Help: "1 while events of changes arrive, else 0.",
		}, func() float64 {
			if c.connected.Load() {
				return 1
			}
			return 0
		}))
	return c
}

func (c *Cache) store(k Key) bounded.Cache[*entry] {
	if k.List {
		return c.lists
	}
	return c.items
}

// SetConnected sets whether events of changes arrive from now on. It drops every
// response either way: changes may have been missed.
func (c *Cache) SetConnected(connected bool) {
	c.connected.Store(connected)
	c.Drop()
}

// Drop drops every response.
func (c *Cache) Drop() {
	c.detach(func(Key) bool { return true })
	c.items.Clear()
	c.lists.Clear()
}

// Changed drops the responses about the item at a path, and every list.
func (c *Cache) Changed(path string) {
	c.detach(func(k Key) bool { return k.List || k.Text == path })
	c.items.Drop(path)
	c.lists.Clear()
}

// detach keeps the responses of calls in flight out of the store, and new requests from
// sharing these calls.
func (c *Cache) detach(affected func(Key) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, f := range c.flights {
		if affected(k) {
			f.changed = true
			delete(c.flights, k)
		}
	}
}

// Result is a response and how it was obtained.
type Result struct {
	entry *entry
	// age is how long ago the response was made, 0 when it is new.
	age time.Duration
	// status is the member of a Cache-Status header field (RFC 9211).
	status string
}

// name of this cache in Cache-Status.
const name = "ecommerce-gateway"

// Get returns the response for a key: a fresh one that is stored, or what fetch returns.
// Requests for the same key share one call, which goes on when ctx ends.
func (c *Cache) Get(ctx context.Context, k Key, fetch Fetch) (Result, error) {
	if res, ok := c.lookup(k); ok {
		c.hits.Inc()
		return res, nil
	}
	reason := "uri-miss"
	if _, ok := c.store(k).Get(k.Text); ok {
		reason = "stale"
	}
	f, shared := c.join(ctx, k, fetch)
	if f == nil {
		return c.Get(ctx, k, fetch)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	if previous, ok := c.staleIfError(k, f); ok {
		c.results.WithLabelValues("stale").Inc()
		return c.cached(previous, name+"; fwd=stale; detail=stale-if-error"), nil
	}
	if f.err != nil {
		c.results.WithLabelValues("error").Inc()
		return Result{}, f.err
	}
	status := name + "; fwd=" + reason + "; fwd-status=" + strconv.Itoa(f.entry.Status)
	result := "miss"
	if shared {
		result = "shared"
		status += "; collapsed"
	}
	c.results.WithLabelValues(result).Inc()
	return Result{entry: &f.entry, status: status}, nil
}

// lookup returns the response for a key if a fresh one is stored.
func (c *Cache) lookup(k Key) (Result, bool) {
	e, ok := c.store(k).Get(k.Text)
	if !ok {
		return Result{}, false
	}
	left := c.lifetime() - c.now().Sub(e.at)
	if left <= 0 {
		return Result{}, false
	}
	return c.cached(e, name+"; hit; ttl="+seconds(left)), true
}

// staleIfError returns the response in place of one that failed. It is looked up after
// the call, because a change in the meantime makes the previous response wrong.
func (c *Cache) staleIfError(k Key, f *flight) (*entry, bool) {
	if f.err == nil && f.entry.Status < http.StatusInternalServerError {
		return nil, false
	}
	e, ok := c.store(k).Get(k.Text)
	return e, ok && c.now().Sub(e.at) < c.ttl+staleFor
}

func (c *Cache) cached(e *entry, status string) Result {
	return Result{entry: e, age: max(0, c.now().Sub(e.at)), status: status}
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// lifetime returns how long a response is fresh at present.
func (c *Cache) lifetime() time.Duration {
	if c.connected.Load() {
		return c.ttl
	}
	return min(c.ttl, disconnectedTTL)
}

// join returns the call in flight for a key, or begins one; nil when a response was
// stored since lookup found none.
func (c *Cache) join(ctx context.Context, k Key, fetch Fetch) (f *flight, shared bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.flights[k]; ok {
		return f, true
	}
	if _, ok := c.lookup(k); ok {
		return nil, false
	}
	f = &flight{done: make(chan struct{})}
	c.flights[k] = f
	go c.fly(context.WithoutCancel(ctx), k, f, fetch)
	return f, false
}

func (c *Cache) fly(ctx context.Context, k Key, f *flight, fetch Fetch) {
	defer close(f.done)
	f.entry.at = c.now()
	f.entry.Response, f.err = fetch(ctx)
	f.entry.body = compression.NewBody(f.entry.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.changed {
		return
	}
	delete(c.flights, k)
	if f.err == nil && f.entry.Status == http.StatusOK && c.ttl > 0 {
		c.store(k).Set(k.Text, &f.entry)
	}
}

// revalidate allows clients to store a response, if they ask before they use it.
var revalidate = []byte("no-cache")

// Names as the HTTP library has them.
var (
	cacheStatus, cacheControl, age = []byte("Cache-Status"), []byte(fasthttp.HeaderCacheControl), []byte(fasthttp.HeaderAge)
	stored                         = func() (names [len(Stored)][]byte) {
		for i, name := range Stored {
			names[i] = []byte(name)
		}
		return names
	}()
)

// Write sets the response to a request: the whole one, or 304 if the client has it
// already by its If-None-Match field (RFC 9110, section 13.1.2). gzip is whether the
// client accepts that.
func (res Result) Write(r *fasthttp.Response, ifNoneMatch string, gzip bool) {
	e := res.entry
	r.SetStatusCode(e.Status)
	var buf [128]byte
	for i, value := range e.Fields {
		if value != "" {
			r.Header.SetCanonical(stored[i], append(buf[:0], value...))
		}
	}
	r.Header.SetCanonical(cacheStatus, append(buf[:0], res.status...))
	if e.Status == http.StatusOK {
		r.Header.SetCanonical(cacheControl, revalidate)
		r.Header.SetCanonical(age, strconv.AppendInt(buf[:0], int64(res.age/time.Second), 10))
		if compression.Matches(ifNoneMatch, e.Fields[0]) {
			r.Header.Del(fasthttp.HeaderContentType)
			r.SetStatusCode(http.StatusNotModified)
			return
		}
	}
	e.body.Set(r, gzip)
}
