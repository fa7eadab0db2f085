// Package cache keeps answers to public reads, so that most of them cost neither
// the service nor its database anything (RFC 9111, as a shared cache that its
// origin controls).
//
// An answer is kept for a while, and dropped when an event says that it is stale.
// While no events arrive, because the broker is away, answers are kept for a second
// only. Many requests for one answer that is not there make one call. When that
// call fails, the answer before serves for some minutes more (RFC 5861).
package cache

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/gateway/internal/compression"
	"ecommerce-stack.dev/services/gateway/internal/http1"
)

const (
	// maxBytes of answers that are kept, of items and of lists each.
	maxBytes = 32 << 20
	// deafTTL is how long an answer is fresh while no events arrive.
	deafTTL = time.Second
	// staleFor is how long after that it may serve when the upstream does not.
	staleFor = 5 * time.Minute
	// entryOverhead is what an entry takes beside its body and the compressed form of
	// that, roughly.
	entryOverhead = 512
)

// Answer is what a call gave.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Fetch makes the call for an answer.
type Fetch func(ctx context.Context) (Answer, error)

// Key tells answers apart.
type Key struct {
	// List is set for a list; Text is its query then. Otherwise Text is the path of an
	// item.
	List bool
	Text string
}

type entry struct {
	Answer
	at     time.Time
	packed *compression.Body
}

// flight is a call under way. A change in the meantime makes its answer unfit to be
// kept, and for requests that come after the change.
type flight struct {
	done    chan struct{}
	answer  Answer
	packed  *compression.Body
	err     error
	changed bool
}

// Cache is safe for concurrent use.
type Cache struct {
	ttl     time.Duration
	now     func() time.Time
	hears   atomic.Bool
	items   *otter.Cache[string, *entry]
	lists   *otter.Cache[string, *entry]
	results *prometheus.CounterVec
	hits    prometheus.Counter

	mu      sync.Mutex
	flights map[Key]*flight
}

// New keeps answers for up to ttl; none at 0.
func New(ttl time.Duration, reg prometheus.Registerer) *Cache {
	options := otter.Options[string, *entry]{
		MaximumWeight:    maxBytes,
		Weigher:          func(k string, e *entry) uint32 { return uint32(len(k) + len(e.Body)*3/2 + entryOverhead) },
		ExpiryCalculator: otter.ExpiryWriting[string, *entry](ttl + staleFor),
	}
	items, lists := options, options
	c := &Cache{
		ttl: ttl, now: time.Now, items: otter.Must(&items), lists: otter.Must(&lists), flights: map[Key]*flight{},
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_cache_results_total", Help: "Reads of what is cached: hit, miss, shared (another's call), stale or error.",
		}, []string{"result"}),
	}
	c.hits = c.results.WithLabelValues("hit")
	reg.MustRegister(c.results, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gateway_cache_bytes", Help: "What the kept answers take.",
	}, func() float64 { return float64(c.items.WeightedSize() + c.lists.WeightedSize()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gateway_cache_hears_changes", Help: "1 while events of changes arrive.",
		}, func() float64 {
			if c.hears.Load() {
				return 1
			}
			return 0
		}))
	return c
}

func (c *Cache) store(k Key) *otter.Cache[string, *entry] {
	if k.List {
		return c.lists
	}
	return c.items
}

// Hears says whether events of changes arrive from now on. What was kept before is
// dropped either way: changes may have been missed.
func (c *Cache) Hears(yes bool) {
	c.hears.Store(yes)
	c.Drop()
}

// Drop drops every answer.
func (c *Cache) Drop() {
	c.drop(func(Key) bool { return true })
	c.items.InvalidateAll()
	c.lists.InvalidateAll()
}

// Changed drops the answers about the item at a path, and every list.
func (c *Cache) Changed(path string) {
	c.drop(func(k Key) bool { return k.List || k.Text == path })
	c.items.Invalidate(path)
	c.lists.InvalidateAll()
}

// drop keeps the answers of calls under way out of the store, and new requests off
// these calls.
func (c *Cache) drop(affected func(Key) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, f := range c.flights {
		if affected(k) {
			f.changed = true
			delete(c.flights, k)
		}
	}
}

// Result is an answer and how it came about.
type Result struct {
	Answer
	// Age is how long ago the answer was made, 0 when it is new.
	Age time.Duration
	// Status is the member of a Cache-Status header (RFC 9211) that tells it.
	Status string

	packed *compression.Body
}

// name of this cache in Cache-Status.
const name = "ecommerce-gateway"

// Get gives the answer for a key: a fresh one that is kept, or what fetch gives.
// Requests for the same key share one call, which goes on when ctx ends.
func (c *Cache) Get(ctx context.Context, k Key, fetch Fetch) (Result, error) {
	if res, ok := c.Kept(k); ok {
		c.Hit()
		return res, nil
	}
	reason := "uri-miss"
	if _, ok := c.store(k).GetIfPresent(k.Text); ok {
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
	if kept, ok := c.spare(k, f); ok {
		c.results.WithLabelValues("stale").Inc()
		return c.kept(kept, name+"; fwd=stale; detail=stale-if-error"), nil
	}
	if f.err != nil {
		c.results.WithLabelValues("error").Inc()
		return Result{}, f.err
	}
	status := name + "; fwd=" + reason + "; fwd-status=" + strconv.Itoa(f.answer.Status)
	if shared {
		c.results.WithLabelValues("shared").Inc()
		return Result{Answer: f.answer, Status: status + "; collapsed", packed: f.packed}, nil
	}
	c.results.WithLabelValues("miss").Inc()
	return Result{Answer: f.answer, Status: status, packed: f.packed}, nil
}

// Kept gives the answer for a key if a fresh one is kept. Whoever uses it calls Hit.
func (c *Cache) Kept(k Key) (Result, bool) {
	kept, ok := c.store(k).GetIfPresent(k.Text)
	if !ok {
		return Result{}, false
	}
	left := c.lifetime() - c.now().Sub(kept.at)
	if left <= 0 {
		return Result{}, false
	}
	return c.kept(kept, name+"; hit; ttl="+seconds(left)), true
}

// Hit counts a read of what is kept.
func (c *Cache) Hit() { c.hits.Inc() }

// spare is the answer in place of one that failed. It is looked up after the call,
// because a change in the meantime makes the answer from before wrong.
func (c *Cache) spare(k Key, f *flight) (*entry, bool) {
	if !failed(f) {
		return nil, false
	}
	e, ok := c.store(k).GetIfPresent(k.Text)
	return e, ok && c.now().Sub(e.at) < c.ttl+staleFor
}

func (c *Cache) kept(e *entry, status string) Result {
	return Result{Answer: e.Answer, Age: max(0, c.now().Sub(e.at)), Status: status, packed: e.packed}
}

func failed(f *flight) bool { return f.err != nil || f.answer.Status >= http.StatusInternalServerError }

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// lifetime of an answer now.
func (c *Cache) lifetime() time.Duration {
	if c.hears.Load() {
		return c.ttl
	}
	return min(c.ttl, deafTTL)
}

// join finds the call under way for a key, or begins one; nil when an answer has come since
// nobody found one.
func (c *Cache) join(ctx context.Context, k Key, fetch Fetch) (f *flight, shared bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.flights[k]; ok {
		return f, true
	}
	if _, ok := c.Kept(k); ok {
		return nil, false
	}
	f = &flight{done: make(chan struct{})}
	c.flights[k] = f
	go c.fly(context.WithoutCancel(ctx), k, f, fetch)
	return f, false
}

func (c *Cache) fly(ctx context.Context, k Key, f *flight, fetch Fetch) {
	defer close(f.done)
	began := c.now()
	f.answer, f.err = fetch(ctx)
	f.packed = compression.NewBody(f.answer.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.changed {
		return
	}
	delete(c.flights, k)
	if f.err == nil && f.answer.Status == http.StatusOK && c.ttl > 0 {
		c.store(k).Set(k.Text, &entry{Answer: f.answer, at: began, packed: f.packed})
	}
}

// passedOn are the fields of an answer that a client is given.
var passedOn = [...]string{"Content-Type", "Etag", "Retry-After", "Last-Modified"}

// Ready says that the body for a client that accepts gzip or not is there, so that Append
// has nothing to compress.
func (res Result) Ready(accepted bool) bool { return !accepted || res.packed.Ready() }

// Append writes the fields that Write sets for a fresh answer of status 200 to a header
// that is text, and returns the body for a client that accepts gzip or not.
func (res Result) Append(b []byte, accepted bool) (header, body []byte) {
	body, tag, encoded := res.packed.For(accepted, res.Answer.Status, res.Header)
	for _, field := range passedOn {
		if v := res.Header[field]; len(v) > 0 && field != "Etag" {
			b = http1.AppendField(b, field, v[0])
		}
	}
	if tag != "" {
		b = http1.AppendField(b, "Etag", tag)
	}
	if encoded {
		b = http1.AppendField(b, "Content-Encoding", compression.Encoding)
	}
	b = http1.AppendField(b, "Cache-Status", res.Status)
	b = http1.AppendField(b, "Cache-Control", revalidate)
	return http1.AppendField(b, "Age", seconds(res.Age)), body
}

// revalidate lets clients keep an answer, if they ask before they use it.
const revalidate = "no-cache"

// Write answers a request with a result: the whole answer, or 304 if the client has
// it already (RFC 9110, section 13.1.2). Clients may keep it, but have to ask.
func (res Result) Write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for _, field := range passedOn {
		if v, ok := res.Header[field]; ok {
			h[field] = v
		}
	}
	h["Cache-Status"] = []string{res.Status}
	if res.Answer.Status == http.StatusOK {
		h["Cache-Control"] = []string{revalidate}
		h["Age"] = []string{seconds(res.Age)}
	}
	if res.Answer.Status == http.StatusOK && matches(compression.Plain(r.Header.Get("If-None-Match")), h.Get("Etag")) {
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if res.packed == nil {
		res.packed = compression.NewBody(res.Body)
	}
	res.packed.Send(w, r, res.Answer.Status)
}

// matches compares weakly (RFC 9110, section 8.8.3.2).
func matches(ifNoneMatch, etag string) bool {
	if etag == "" || ifNoneMatch == "" {
		return false
	}
	for tag := range strings.SplitSeq(ifNoneMatch, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}
