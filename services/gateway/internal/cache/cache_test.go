package cache

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/compression"
)

// origin counts the calls and gives what the test sets.
type origin struct {
	mu       sync.Mutex
	calls    int
	response Response
	err      error
}

func (o *origin) fetch(context.Context) (Response, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	return o.response, o.err
}

func ok(body string) Response {
	return Response{Status: 200, Fields: [len(Stored)]string{`"` + body + `"`, "application/json"}, Body: []byte(body)}
}

// body returns the body of a result.
func body(res Result) string {
	if res.entry == nil {
		return ""
	}
	return string(res.entry.Body)
}

func fresh(t *testing.T) (*Cache, *time.Time) {
	t.Helper()
	c := New(30*time.Second, 1<<20, prometheus.NewRegistry())
	now := time.Unix(1_800_000_000, 0)
	c.now = func() time.Time { return now }
	c.SetConnected(true)
	return c, &now
}

func get(t *testing.T, c *Cache, k Key, o *origin, want, status string) {
	t.Helper()
	res, err := c.Get(t.Context(), k, o.fetch)
	if err != nil || body(res) != want || !strings.Contains(res.status, status) {
		t.Errorf("got %q, %q, %v; want %q, %q", body(res), res.status, err, want, status)
	}
}

var (
	item  = Key{Text: "/products/7"}
	other = Key{Text: "/products/8"}
	list  = Key{List: true, Text: "/products?sort=name"}
)

func TestResponseIsStoredUntilItExpiresOrChanges(t *testing.T) {
	t.Parallel()
	c, now := fresh(t)
	o := &origin{response: ok("a")}
	get(t, c, item, o, "a", "fwd=uri-miss; fwd-status=200")
	get(t, c, item, o, "a", "hit; ttl=30")
	*now = now.Add(29 * time.Second)
	get(t, c, item, o, "a", "hit; ttl=1")
	o.response = ok("b")
	*now = now.Add(time.Second)
	get(t, c, item, o, "b", "fwd=stale")
	o.response = ok("c")
	c.Changed("/products/7")
	get(t, c, item, o, "c", "fwd=uri-miss")
	if o.calls != 3 {
		t.Errorf("%d calls, want 3", o.calls)
	}
}

func TestChangeDropsOnlyItemAndLists(t *testing.T) {
	t.Parallel()
	c, _ := fresh(t)
	o := &origin{response: ok("a")}
	for _, k := range []Key{item, other, list} {
		get(t, c, k, o, "a", "miss")
	}
	c.Changed("/products/7")
	get(t, c, item, o, "a", "miss")
	get(t, c, list, o, "a", "miss")
	get(t, c, other, o, "a", "hit")
}

func TestResponsesAreFreshForASecondWithoutEvents(t *testing.T) {
	t.Parallel()
	c, now := fresh(t)
	o := &origin{response: ok("a")}
	get(t, c, item, o, "a", "miss")
	c.SetConnected(false)
	get(t, c, item, o, "a", "miss")
	get(t, c, item, o, "a", "hit")
	*now = now.Add(time.Second)
	get(t, c, item, o, "a", "fwd=stale")
	c.SetConnected(true)
	get(t, c, item, o, "a", "miss")
}

func TestStaleResponseIsServedWhileUpstreamFails(t *testing.T) {
	t.Parallel()
	c, now := fresh(t)
	o := &origin{response: ok("a")}
	get(t, c, item, o, "a", "miss")
	*now = now.Add(time.Minute)
	o.err = errors.New("unavailable")
	get(t, c, item, o, "a", "stale-if-error")
	o.response, o.err = Response{Status: 503}, nil
	get(t, c, item, o, "a", "stale-if-error")
	*now = now.Add(5 * time.Minute)
	if res, err := c.Get(t.Context(), item, o.fetch); err != nil || res.entry.Status != 503 {
		t.Errorf("after minutes: got %d, %v, want 503", res.entry.Status, err)
	}
}

func TestChangedResponseIsNotServedWhileUpstreamFails(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Cache){
		"the item changed": func(c *Cache) { c.Changed("/products/7") }, "all were dropped": (*Cache).Drop,
	} {
		c, now := fresh(t)
		get(t, c, item, &origin{response: ok("a")}, "a", "miss")
		*now = now.Add(time.Minute)
		unavailable := errors.New("unavailable")
		res, err := c.Get(t.Context(), item, func(context.Context) (Response, error) {
			change(c)
			return Response{}, unavailable
		})
		if !errors.Is(err, unavailable) {
			t.Errorf("%s: got %q, %v, want %v", name, body(res), err, unavailable)
		}
	}
}

func TestOnlySuccessIsCached(t *testing.T) {
	t.Parallel()
	c, _ := fresh(t)
	o := &origin{response: Response{Status: 404, Body: []byte("no")}}
	get(t, c, item, o, "no", "fwd-status=404")
	o.response = ok("a")
	get(t, c, item, o, "a", "fwd=uri-miss")
}

func TestNothingIsCachedWithoutTTL(t *testing.T) {
	t.Parallel()
	c := New(0, 1<<20, prometheus.NewRegistry())
	c.SetConnected(true)
	o := &origin{response: ok("a")}
	get(t, c, item, o, "a", "miss")
	get(t, c, item, o, "a", "miss")
}

func TestManyRequestsMakeOneCall(t *testing.T) {
	t.Parallel()
	c, _ := fresh(t)
	calls, release := make(chan struct{}, 100), make(chan struct{})
	fetch := func(context.Context) (Response, error) {
		calls <- struct{}{}
		<-release
		return ok("a"), nil
	}
	impatient, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { _, err := c.Get(impatient, item, fetch); left <- err }()
	<-calls
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if res, err := c.Get(t.Context(), item, fetch); err != nil || body(res) != "a" {
				t.Errorf("got %q, %v", body(res), err)
			}
		})
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left got %v", err)
	}
	close(release)
	wg.Wait()
	if len(calls) != 0 {
		t.Errorf("%d more calls were made", len(calls))
	}
}

func TestResponseFetchedBeforeChangeIsNeitherStoredNorShared(t *testing.T) {
	t.Parallel()
	c, _ := fresh(t)
	entered, release := make(chan struct{}), make(chan struct{})
	old := make(chan string, 1)
	go func() {
		res, _ := c.Get(context.Background(), item, func(context.Context) (Response, error) {
			close(entered)
			<-release
			return ok("old"), nil
		})
		old <- body(res)
	}()
	<-entered
	c.Changed("/products/7")
	o := &origin{response: ok("new")}
	get(t, c, item, o, "new", "miss")
	close(release)
	if got := <-old; got != "old" {
		t.Errorf("the request from before got %q", got)
	}
	get(t, c, item, o, "new", "hit")
}

func TestMatchingIfNoneMatchReturns304(t *testing.T) {
	t.Parallel()
	stored := &entry{Response: ok("a"), body: compression.NewBody([]byte("a"))}
	res := Result{entry: stored, age: 1500 * time.Millisecond, status: "x; hit"}
	for header, want := range map[string]int{
		"": 200, `"a"`: 304, `W/"a"`: 304, `"b", "a"`: 304, "*": 304, `"b"`: 200, "a": 200, `"a;gzip"`: 304,
	} {
		var r fasthttp.Response
		res.Write(&r, header, false)
		if r.StatusCode() != want || (want == 304) != (len(r.Body()) == 0) || string(r.Header.Peek("Etag")) != `"a"` || string(r.Header.Peek("Age")) != "1" {
			t.Errorf("If-None-Match %s: got %d, %s", header, r.StatusCode(), r.Header.String())
		}
	}
}
