package edge_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ecommerce-stack.dev/services/gateway/internal/client"
	"ecommerce-stack.dev/services/gateway/internal/http1"
	"ecommerce-stack.dev/services/gateway/internal/limit"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// twins are two gateways before one upstream: one answers with its fast path where it
// can, the other with its handler alone.
type twins struct {
	fast, handler *twin
	upstream      *bytesUpstream
	bearer        string
}

type twin struct {
	*gateway
	lines *lines
}

// lines are those of a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// of are the lines of a request, without what differs from one to the next. Lines of
// others are forgotten.
func (l *lines) of(id string) (all []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.text.Bytes()) {
		var fields map[string]any
		if json.Unmarshal(line, &fields) == nil && fields["msg"] == "request" && fields["requestId"] == id {
			for _, name := range []string{"time", "seconds", "client", "requestId", "traceId"} {
				if fields[name] == nil {
					fields["missing "+name] = true
				}
				delete(fields, name)
			}
			all = append(all, fields)
		}
	}
	l.text.Reset()
	return all
}

// bytesUpstream answers each request with the same bytes, ends the connection when they
// say so or are not whole, and keeps the last request.
type bytesUpstream struct {
	net.Listener
	mu     sync.Mutex
	answer []byte
	seen   []byte
}

func newBytesUpstream(t testing.TB) *bytesUpstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &bytesUpstream{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go u.serve(c)
		}
	}()
	return u
}

func (u *bytesUpstream) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(in)
		if err != nil || !u.reply(c, r) {
			return
		}
	}
}

// reply answers a request, and says whether another one may come.
func (u *bytesUpstream) reply(c net.Conn, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	for _, name := range []string{"X-Request-Id", "Traceparent"} {
		if r.Header.Get(name) == "" || len(r.Header[name]) > 1 {
			r.Header.Set(name, "missing or doubled")
		}
		r.Header.Del(name)
	}
	var seen bytes.Buffer
	_ = r.Header.Write(&seen) // to memory, sorted
	u.mu.Lock()
	u.seen = []byte(r.Method + " " + r.RequestURI + "\n" + seen.String() + "\n" + string(body))
	answer := u.answer
	u.mu.Unlock()
	if _, err := c.Write(answer); err != nil {
		return false
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && !res.Close
}

func (u *bytesUpstream) answers(answer []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer, u.seen = answer, nil
}

func (u *bytesUpstream) last() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return string(u.seen)
}

func newTwins(t testing.TB) *twins {
	t.Helper()
	keys := authntest.New(t)
	var trusted client.Proxies
	if err := trusted.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	w := &twins{upstream: newBytesUpstream(t), bearer: keys.Bearer(t, 7, authn.Client)}
	begin := func(handler bool) *twin {
		log := &lines{}
		return &twin{lines: log, gateway: start(t, setup{
			upstream: "http://" + w.upstream.Addr().String(), keys: keys, handler: handler, log: telemetry.NewLogger(log, "gateway", slog.LevelInfo),
			origins: []string{"https://shop.example.com"}, proxies: trusted,
			limits: map[string]*limit.Limiter{route.LimitDefault: limit.New(1, time.Hour, 1<<20)},
		})}
	}
	w.fast, w.handler = begin(false), begin(true)
	return w
}

// introduce lets both know the client's token, which the fast path asks for.
func (w *twins) introduce(t *testing.T) {
	t.Helper()
	w.compare(t, []byte("GET /auth/me HTTP/1.1\r\nHost: shop\r\nAuthorization: "+w.bearer+"\r\n\r\n"), []byte(plainAnswer))
}

// outcome is what a client, the service and the log see of a request.
type outcome struct {
	Status  int
	Header  http.Header
	Body    string
	Closed  bool
	Broken  bool
	Service string
	Log     []map[string]any
	id      string
}

// unread says that the request was refused before it was one, which is not logged.
func (o outcome) unread() bool {
	return o.Closed && (o.Status == http.StatusBadRequest || o.Status == http.StatusExpectationFailed || o.Status == http.StatusRequestHeaderFieldsTooLarge)
}

// send sends raw to a twin.
func (w *twins) send(t *testing.T, to *twin, raw []byte) (o outcome) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(to.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write(raw); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(string(raw), " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return outcome{Broken: true}
	}
	body, err := io.ReadAll(res.Body)
	o = outcome{Status: res.StatusCode, Header: res.Header, Body: string(body), Closed: res.Close, Broken: err != nil}
	o.id = o.Header.Get("X-Request-Id")
	for _, name := range []string{"X-Request-Id", "Traceparent", "Date"} {
		if len(o.Header[name]) != 1 {
			o.Header["Not one "+name] = nil
		}
		o.Header.Del(name)
	}
	if reset := o.Header.Get("RateLimit-Reset"); reset != "" && reset != "0" {
		o.Header.Set("RateLimit-Reset", "later") // a second may end between the two
	}
	if strings.Contains(o.Header.Get("Content-Type"), "problem") {
		o.Body = "a problem" // with a trace of its own
		o.Header.Del("Content-Length")
	}
	if hit := o.Header.Get("Cache-Status"); hit != "" {
		o.Header.Set("Cache-Status", strings.SplitN(hit, "ttl=", 2)[0])
		o.Header.Del("Age")
	}
	o.Service = w.upstream.last()
	return o
}

// compare lets both answer, and returns what the fast one saw.
func (w *twins) compare(t *testing.T, raw, answer []byte) outcome {
	t.Helper()
	w.upstream.answers(answer)
	slow := w.send(t, w.handler, raw)
	w.upstream.answers(answer)
	fast := w.send(t, w.fast, raw)
	// A request is logged after its answer was sent.
	if !fast.unread() && !fast.Broken {
		eventually(t, "a line for the request", func() bool {
			fast.Log = append(fast.Log, w.fast.lines.of(fast.id)...)
			slow.Log = append(slow.Log, w.handler.lines.of(slow.id)...)
			return len(fast.Log) > 0 && len(slow.Log) > 0
		})
	}
	if slow.Status == http.StatusServiceUnavailable || fast.Status == http.StatusServiceUnavailable {
		return fast // The breakers need not have opened in the same moment.
	}
	if diff := cmp.Diff(slow, fast, cmpopts.IgnoreUnexported(outcome{})); diff != "" {
		t.Errorf("%q answered with %q (-handler +fast path):\n%s", raw, answer, diff)
	}
	return fast
}

// plainAnswer is what services say mostly.
const plainAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 8\r\n\r\n" + `{"id":7}`

// exchanges are requests and answers, and whether the fast path is to take them; <token>
// stands for a client's.
var exchanges = []struct {
	name, request, answer string
	fast                  bool
}{
	{"a read", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", plainAnswer, true},
	{"a read with a query", "GET /sales?status=Pending&limit=2 HTTP/1.1\r\nHost: shop\r\nauthorization: <token>\r\nAccept: */*\r\n\r\n", plainAnswer, true},
	{"a write", "POST /sales HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nContent-Type: application/json\r\nContent-Length: 12\r\nIdempotency-Key: k\r\n\r\n{\"items\":[]}", plainAnswer, true},
	{"a write without a body", "PATCH /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", plainAnswer, true},
	{"ids of its own", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nX-Request-Id: abc\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n", plainAnswer, true},
	{"forged identities", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nX-User-Id: 1\r\nX-Forwarded-For: 10.1.2.3, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=1\r\nCookie: a=b\r\nX-Auth-Role: Manager\r\n\r\n", plainAnswer, true},
	{"gzip for a small answer", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nAccept-Encoding: gzip, br\r\n\r\n", plainAnswer, true},
	{"gzip for a large answer", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nAccept-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"3\"\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("0123456789", 200), true},
	{"a large answer", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50000\r\n\r\n" + strings.Repeat("0123456789", 5000), true},
	{"an answer in chunks", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true},
	{"an answer to the end of the connection", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nabc", true},
	{"an answer without a type", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true},
	{"no content", "DELETE /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n\r\n", true},
	{"not modified", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nIf-None-Match: \"3\"\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nETag: \"3\"\r\n\r\n", true},
	{"an empty answer", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
	{"an error of the service", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n",
		"HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nVary: Accept\r\nVary: Accept-Language\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", true},
	{"fields of the connection", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: X-Inner, keep-alive\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\n{}", true},
	{"limits of the service's own", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRateLimit-Limit: 5\r\nContent-Length: 2\r\n\r\n{}", true},
	{"the last request of a connection", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nAuthorization: <token>\r\n\r\n", plainAnswer, true},
	{"a length with a nought", "POST /sales HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nContent-Length: 02\r\n\r\n{}", plainAnswer, true},
	{"gzip refused, then all taken", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nAccept-Encoding: gzip;q=0\r\nAccept-Encoding: *\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("0123456789", 200), false},
	{"an empty authorization before another", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization:\r\nAuthorization: <token>\r\n\r\n", plainAnswer, false},
	{"two request ids", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nX-Request-Id:\r\nX-Request-Id: abc\r\n\r\n", plainAnswer, false},
	{"close and keep-alive", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", plainAnswer, true},
	{"a precondition on a compressed form", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nIf-None-Match: \"3;gzip\"\r\n\r\n", plainAnswer, false},
	{"no token", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\n\r\n", plainAnswer, false},
	{"a wrong token", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer x\r\n\r\n", plainAnswer, false},
	{"two tokens", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer x\r\nAuthorization: <token>\r\n\r\n", plainAnswer, false},
	{"another's role", "GET /auth/users HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", plainAnswer, false},
	{"a script of an origin", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nOrigin: https://shop.example.com\r\n\r\n", plainAnswer, false},
	{"a wait", "POST /sales HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nPrefer: wait=1\r\nContent-Length: 2\r\n\r\n{}", plainAnswer, false},
	{"a body in chunks", "POST /sales HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", plainAnswer, false},
	{"an escaped path", "GET /sales/%37 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", plainAnswer, false},
	{"an unknown path", "GET /nothing HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", plainAnswer, false},
	{"another method", "HEAD /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", plainAnswer, false},
	{"two hosts", "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nHost: other\r\nAuthorization: <token>\r\n\r\n", plainAnswer, false},
	{"an old version", "GET /sales/7 HTTP/1.0\r\nHost: shop\r\nAuthorization: <token>\r\n\r\n", plainAnswer, false},
	{"an answer that is not kept yet", "GET /products/9 HTTP/1.1\r\nHost: shop\r\n\r\n", plainAnswer, false},
}

func TestTheFastPathAnswersAsTheHandlerDoes(t *testing.T) {
	t.Parallel()
	for _, x := range exchanges {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newTwins(t)
			w.introduce(t)
			raw := []byte(strings.ReplaceAll(x.request, "<token>", w.bearer))
			if o := w.compare(t, raw, []byte(x.answer)); o.Status == 0 {
				t.Error("there is no answer")
			}
			if taken := w.fast.taken.Load() == 1; taken != x.fast {
				t.Errorf("the fast path has answered: %v, want %v", taken, x.fast)
			}
		})
	}
}

func TestAChangeOnTheFastPathDropsWhatIsKept(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.answers(text("1"))
	manager := g.manager(1)
	change := func() { g.expect(g.do(http.MethodPut, "/products", "{}", "Authorization", manager), 200, "") }
	change() // From now on the token is known.
	for range 2 {
		g.expect(g.do(http.MethodGet, "/products/7", ""), 200, "")
	}
	before := g.taken.Load()
	change()
	if a := g.do(http.MethodGet, "/products/7", ""); !strings.Contains(a.header.Get("Cache-Status"), "uri-miss") {
		t.Errorf("after a change an answer was kept: %s", a.header.Get("Cache-Status"))
	}
	if g.taken.Load() != before+1 {
		t.Errorf("the fast path answered %d, want the change alone", g.taken.Load()-before)
	}
	want := "# HELP gateway_cache_results_total Reads of what is cached: hit, miss, shared (another's call), stale or error.\n" +
		"# TYPE gateway_cache_results_total counter\n" +
		"gateway_cache_results_total{result=\"hit\"} 1\ngateway_cache_results_total{result=\"miss\"} 2\n"
	if err := testutil.GatherAndCompare(g.metrics, strings.NewReader(want), "gateway_cache_results_total"); err != nil {
		t.Error(err)
	}
}

// TestAChangeDropsWhatIsKeptBesideItsLoop holds a change where the fast path has answered it:
// a loop that it was still on would serve nobody else. To drop a full cache takes long.
func TestAChangeDropsWhatIsKeptBesideItsLoop(t *testing.T) {
	t.Parallel()
	var hold atomic.Bool
	held, goOn := make(chan struct{}), make(chan struct{})
	g := start(t, setup{after: func(*http1.Plain) {
		if hold.CompareAndSwap(true, false) {
			close(held)
			<-goOn
		}
	}})
	t.Cleanup(func() { close(goOn) })
	g.up.answers(text("1"))
	send := func() (c net.Conn, ask func(request string)) {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		in := bufio.NewReader(c)
		return c, func(request string) {
			t.Helper()
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s, %v", res.Status, err)
			}
		}
	}
	change := "PUT /products HTTP/1.1\r\nHost: shop\r\nAuthorization: " + g.manager(1) + "\r\nContent-Length: 2\r\n\r\n{}"
	c, ask := send()
	for range 4 { // Then the token is known, and the loop has a connection to the service.
		ask(change)
	}
	hold.Store(true)
	if _, err := io.WriteString(c, change); err != nil {
		t.Fatal(err)
	}
	select {
	case <-held:
	case <-time.After(10 * time.Second):
		t.Fatal("the fast path did not answer the change")
	}
	for range 8 { // They are spread over both loops.
		_, ask := send()
		ask("GET /products/7 HTTP/1.1\r\nHost: shop\r\n\r\n")
	}
}

func TestRequestsInFlightAreCountedOnBothWays(t *testing.T) {
	t.Parallel()
	for _, handler := range []bool{false, true} {
		g := start(t, setup{handler: handler})
		come, goOn := make(chan struct{}), make(chan struct{})
		release := sync.OnceFunc(func() { close(goOn) })
		t.Cleanup(release)
		client := g.client(7)
		g.up.answers(text("0"))
		g.expect(g.do(http.MethodGet, "/sales/7", "", "Authorization", client), 200, "") // From now on the token is known.
		g.up.answers(func(w http.ResponseWriter, r *http.Request) {
			come <- struct{}{}
			<-goOn
			text("1")(w, r)
		})
		done := make(chan answer, 1)
		go func() { done <- g.do(http.MethodGet, "/sales/7", "", "Authorization", client) }()
		select {
		case <-come:
		case a := <-done:
			t.Fatalf("the call did not reach the service: %d\n%s", a.status, a.raw)
		}
		g.inFlight(t, 1)
		release()
		g.expect(<-done, 200, "")
		g.inFlight(t, 0)
		if fast := g.taken.Load() > 0; fast == handler {
			t.Errorf("handler %v, and the fast path has answered: %v", handler, fast)
		}
	}
}

// inFlight waits until so many requests, and calls of sales, are counted.
func (g *gateway) inFlight(t *testing.T, want int) {
	t.Helper()
	text := fmt.Sprintf("# HELP http_requests_in_flight Requests being answered now.\n# TYPE http_requests_in_flight gauge\n"+
		"http_requests_in_flight %[1]d\n# HELP gateway_upstream_in_flight Calls in flight, streams among them.\n"+
		"# TYPE gateway_upstream_in_flight gauge\ngateway_upstream_in_flight{upstream=\"auth\"} 0\n"+
		"gateway_upstream_in_flight{upstream=\"sales\"} %[1]d\ngateway_upstream_in_flight{upstream=\"stock\"} 0\n", want)
	// A client has its answer a moment before the request is over.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		err := testutil.GatherAndCompare(g.metrics, strings.NewReader(text), "http_requests_in_flight", "gateway_upstream_in_flight")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestAPanicOnTheFastPathIsAnsweredLikeAnyOther(t *testing.T) {
	t.Parallel()
	log := &lines{}
	// Without a cache, a change goes wrong.
	g := start(t, setup{log: telemetry.NewLogger(log, "gateway", slog.LevelInfo), uncached: true})
	g.up.answers(text("1"))
	manager := g.manager(1)
	g.expect(g.do(http.MethodGet, "/auth/me", "", "Authorization", manager), 200, "") // From now on the token is known.
	before := g.taken.Load()
	a := g.expect(g.do(http.MethodPut, "/products", "{}", "Authorization", manager), 500, "internal")
	g.expect(g.do(http.MethodGet, "/auth/me", "", "Authorization", manager), 200, "")
	if g.taken.Load() != before+2 {
		t.Errorf("the fast path answered %d", g.taken.Load()-before)
	}
	eventually(t, "a line that says 500", func() bool {
		all := log.of(a.header.Get("X-Request-Id"))
		return len(all) == 1 && all[0]["status"] == 500.0
	})
}

func TestWhatIsCompressedOnceIsKept(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	page := productPage(50)
	g.up.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"1"`)
		_, _ = io.WriteString(w, page)
	})
	var bodies []string
	for i, c := range []struct {
		encoding string
		taken    int64
	}{
		{"identity", 0}, // The answer is made,
		{"identity", 1}, // and kept.
		{"gzip", 1},     // The handler compresses it,
		{"gzip", 2},     // once.
	} {
		a := g.expect(g.do(http.MethodGet, "/products", "", "Accept-Encoding", c.encoding), 200, "")
		if packed := a.header.Get("Content-Encoding") == "gzip" && a.header.Get("ETag") == `"1;gzip"`; packed != (c.encoding == "gzip") {
			t.Errorf("answer %d: %v", i, a.header)
		}
		if got := g.taken.Load(); got != c.taken {
			t.Errorf("answer %d: the fast path has answered %d, want %d", i, got, c.taken)
		}
		bodies = append(bodies, a.raw)
	}
	if bodies[2] != bodies[3] || bodies[0] != bodies[1] {
		t.Error("the fast path sends another body than the handler")
	}
}

func TestTheFastPathTakesAPlaceForEachCallAndGivesItBack(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	for range 1100 { // more than there are places
		p.do(t, p.passedOn)
	}
}

func TestALimitOfAddressesHoldsOnTheFastPath(t *testing.T) {
	t.Parallel()
	g := start(t, setup{
		routes: `routes:
  - {path: /sales, methods: [GET], upstream: sales, access: any, limit: login}
  - {path: "/sales/{id}", methods: [GET], upstream: sales, access: any}
`,
		limits: map[string]*limit.Limiter{route.LimitLogin: limit.New(1, time.Hour, 2)},
	})
	g.up.answers(text("1"))
	users := []string{g.client(1), g.client(2), g.client(3)}
	for _, bearer := range users { // From now on the tokens are known.
		g.expect(g.do(http.MethodGet, "/sales/1", "", "Authorization", bearer), 200, "")
	}
	before := g.taken.Load()
	for i, want := range []int{200, 200, 429} {
		if a := g.do(http.MethodGet, "/sales", "", "Authorization", users[i]); a.status != want {
			t.Errorf("user %d of an address: %d, want %d", i+1, a.status, want)
		}
	}
	if taken := g.taken.Load() - before; taken != 2 {
		t.Errorf("the fast path answered %d, want those that are within the limit", taken)
	}
}

// ends says that the head of a message ends for everybody who reads it; to those for whom
// it does not, more would have to come.
func ends(message []byte) bool {
	head, _, ok := bytes.Cut(message, []byte("\r\n\r\n"))
	return ok && bytes.Count(head, []byte("\n")) == bytes.Count(head, []byte("\r\n"))
}

func FuzzFastPath(f *testing.F) {
	w := newTwins(f)
	for _, x := range exchanges {
		f.Add([]byte(x.request), []byte(x.answer))
	}
	f.Fuzz(func(t *testing.T, request, answer []byte) {
		raw := bytes.ReplaceAll(request, []byte("<token>"), []byte(w.bearer))
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil || !ends(raw) || !ends(answer) {
			return // The server's own test has these.
		}
		if body, err := io.ReadAll(r.Body); err != nil || len(body) > 1<<16 {
			return // The rest would have to arrive.
		}
		if res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), r); err != nil || res.StatusCode < 200 {
			return
		}
		w.introduce(t)
		w.compare(t, raw, answer)
	})
}
