package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/clientaddr"
	"ecommerce-stack.dev/services/internal/limit"
)

func TestOnlyRoutesAreForwarded(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.probes()
	for _, path := range []string{"/", "/metrics", "/auth", "/auth/login/", "/auth//login", "/products/../auth/me", "/products/.", "/products/%2e%2e/auth/users"} {
		g.expect(g.do("GET", path, ""), 404, "not_found")
	}
	for path, allow := range map[string]string{"/auth/login": "POST, OPTIONS", "/products": "GET, HEAD, POST, PUT, OPTIONS"} {
		for _, method := range []string{"DELETE", "BREW", "TRACE"} {
			if a := g.expect(g.do(method, path, ""), 405, "method_not_allowed"); a.header.Get("Allow") != allow && method == "DELETE" {
				t.Errorf("%s %s: Allow %q, want %q", method, path, a.header.Get("Allow"), allow)
			}
		}
	}
	g.expect(g.do("GET", "/products/7%2fx", ""), 400, "malformed_request")
	g.expect(g.do("POST", "/health", ""), 405, "method_not_allowed")
	if n := g.up.calls(); n != 0 {
		t.Errorf("%d requests were passed on", n)
	}
}

func TestGatewayEnforcesAccess(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.expect(g.do("GET", "/sales", ""), 401, "unauthenticated")
	g.expect(g.do("GET", "/sales", "", "Authorization", "Bearer x"), 401, "invalid_token")
	g.expect(g.do("GET", "/sales", "", "Authorization", g.manager(1)), 403, "forbidden")
	g.expect(g.do("POST", "/products", "{}", "Authorization", g.client(7)), 403, "forbidden")
	if n := g.up.calls(); n != 0 {
		t.Errorf("%d requests were passed on", n)
	}
	g.expect(g.do("GET", "/sales", "", "Authorization", g.client(7)), 200, "")
	g.expect(g.do("GET", "/auth/me", "", "Authorization", g.manager(1)), 200, "")
	g.expect(g.do("POST", "/auth/login", `{"a":1}`), 200, "")
}

func TestRequestIsForwardedWithoutForgedHeaders(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/sales/7")
		w.Header().Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-00000000000000aa-01")
		w.Header().Set("Connection", "X-Private")
		w.Header().Set("X-Private", "1")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.Copy(w, r.Body)
	})
	const trace = "0af7651916cd43dd8448eb211c80319c"
	auth := g.client(7)
	a := g.do("POST", "/sales?a=b%20c", `{"items":[]}`, "Authorization", auth, "X-Request-Id", "shop-1",
		"Traceparent", "00-"+trace+"-b7ad6b7169203331-01", "Idempotency-Key", "k1", "Content-Type", "application/json",
		"X-User-Id", "1", "X-User-Role", "Manager", "X-Auth-User", "1", "X-Remote-User", "root", "X-Forwarded-For", "10.0.0.1",
		"X-Forwarded-Proto", "https", "Forwarded", "for=10.0.0.1", "Connection", "X-Hop", "X-Hop", "1", "Proxy-Authorization", "x")
	if a.status != 202 || a.raw != `{"items":[]}` || a.header.Get("Location") != "/sales/7" || a.header.Get("X-Private") != "" {
		t.Errorf("response %d %q %v", a.status, a.raw, a.header)
	}
	if a.header.Get("X-Request-Id") != "shop-1" || len(a.header.Values("X-Request-Id")) != 1 {
		t.Errorf("X-Request-Id %q", a.header.Values("X-Request-Id"))
	}
	got := g.up.last()
	for name, want := range map[string]string{
		"Authorization": auth, "X-Request-Id": "shop-1", "Idempotency-Key": "k1", "Content-Type": "application/json",
		"X-Forwarded-For": "127.0.0.1", "X-User-Id": "", "X-User-Role": "", "X-Auth-User": "", "X-Remote-User": "",
		"X-Forwarded-Proto": "http", "Forwarded": "", "Via": "1.1 ecommerce-gateway", "X-Forwarded-Host": strings.TrimPrefix(g.url, "http://"), "X-Hop": "", "Proxy-Authorization": "", "Connection": "",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s arrived as %q, want %q", name, v, want)
		}
	}
	tp := got.Header.Get("Traceparent")
	if !strings.HasPrefix(tp, "00-"+trace) || strings.Contains(tp, "b7ad6b7169203331") {
		t.Errorf("Traceparent %q", tp)
	}
	if returned := a.header.Values("Traceparent"); len(returned) != 1 || returned[0] != tp {
		t.Errorf("Traceparent %q came back, want the gateway's own, %q", returned, tp)
	}
	if got.URL.RequestURI() != "/sales?a=b%20c" {
		t.Errorf("URI %q", got.URL.RequestURI())
	}
}

func TestEachCallerHasItsOwnLimit(t *testing.T) {
	t.Parallel()
	g := start(t, setup{limits: map[string]*limit.Limiter{
		route.LimitDefault: limit.New(1, time.Hour, 3), route.LimitLogin: limit.New(1, time.Hour, 2),
	}})
	for left := 2; left >= 0; left-- {
		a := g.expect(g.do("GET", "/sales", "", "Authorization", g.client(7)), 200, "")
		if a.header.Get("RateLimit-Limit") != "3" || a.header.Get("RateLimit-Remaining") != strconv.Itoa(left) || a.header.Get("RateLimit-Reset") == "" {
			t.Errorf("limit headers %v", a.header)
		}
	}
	a := g.expect(g.do("GET", "/sales", "", "Authorization", g.client(7)), 429, "rate_limited")
	if retry, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || retry < 3500 {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	g.expect(g.do("POST", "/products", "{}", "Authorization", g.client(7)), 429, "rate_limited")
	g.expect(g.do("GET", "/sales", "", "Authorization", g.client(8)), 200, "")

	for range 3 {
		g.expect(g.do("GET", "/sales", "", "Authorization", "Bearer guess"), 401, "invalid_token")
	}
	g.expect(g.do("GET", "/sales", "", "Authorization", "Bearer guess"), 429, "rate_limited")
	g.expect(g.do("GET", "/products", ""), 429, "rate_limited") // the same address

	for range 2 {
		g.expect(g.do("POST", "/auth/login", "{}"), 200, "")
	}
	g.expect(g.do("POST", "/auth/refresh", "{}"), 429, "rate_limited")
}

func TestPasswordsAreGuessedNoFasterThanAtLogin(t *testing.T) {
	t.Parallel()
	g := start(t, setup{limits: map[string]*limit.Limiter{route.LimitLogin: limit.New(1, time.Hour, 2)}})
	for user := range int64(2) {
		g.expect(g.do("PUT", "/auth/password", "{}", "Authorization", g.client(user+1)), 200, "")
	}
	g.expect(g.do("PUT", "/auth/password", "{}", "Authorization", g.client(3)), 429, "rate_limited")
	g.expect(g.do("POST", "/auth/login", "{}"), 429, "rate_limited")
}

func TestEveryResponseHasTheRateLimit(t *testing.T) {
	t.Parallel()
	g := start(t, setup{limits: map[string]*limit.Limiter{route.LimitDefault: limit.New(1, time.Hour, 16)}})
	g.probes()
	g.gateway.Page("/openapi.json", plainPage(text("document")))
	g.gateway.Page("/docs/*", plainPage(text("asset")))
	bodies := map[string]string{"POST/sales": strings.Repeat("x", 1<<20+1)}
	left := 16
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/products/7%2fx", 400, "malformed_request"},
		{"GET", "/products/%ff", 400, "invalid_utf8"},
		{"GET", "/products?q=%00", 400, "malformed_request"},
		{"GET", "/sales?status=%ff", 400, "invalid_utf8"},
		{"POST", "/health", 405, "method_not_allowed"},
		{"POST", "/sales", 413, "body_too_large"},
		{"GET", "/nothing", 404, "not_found"},
		{"GET", "/docs", 404, "not_found"},
		{"DELETE", "/auth/login", 405, "method_not_allowed"},
		{"OPTIONS", "/auth/login", 204, ""},
		{"GET", "/sales", 401, "unauthenticated"},
		{"GET", "/openapi.json", 200, ""},
		{"HEAD", "/openapi.json", 200, ""},
		{"GET", "/docs/app.js", 200, ""},
		{"OPTIONS", "/openapi.json", 204, ""},
		{"POST", "/openapi.json", 405, "method_not_allowed"},
		{"GET", "/nothing", 429, "rate_limited"},
		{"GET", "/openapi.json", 429, "rate_limited"},
		{"GET", "/products/%ff", 429, "rate_limited"},
		{"POST", "/sales", 429, "rate_limited"},
		{"OPTIONS", "/auth/login", 429, "rate_limited"},
	} {
		left = max(0, left-1)
		a := g.expect(g.do(c.method, c.path, bodies[c.method+c.path]), c.status, c.code)
		if got := a.header.Get("RateLimit-Remaining"); a.header.Get("RateLimit-Limit") != "16" || got != strconv.Itoa(left) || a.header.Get("RateLimit-Reset") == "" {
			t.Errorf("%s %s: limit headers %v, want %d of 16 left", c.method, c.path, a.header, left)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/health"} {
		if a := g.expect(g.do("GET", path, ""), 200, ""); a.header.Get("RateLimit-Limit") != "" {
			t.Errorf("%s counts: %v", path, a.header)
		}
	}
}

// hold makes a call that the upstream is asked to hold until end; it returns when
// the upstream has it.
func (g *fixture) hold(method, path string, arrived <-chan struct{}, headers ...string) (end func()) {
	g.t.Helper()
	ctx, cancel := context.WithCancel(g.t.Context())
	done := make(chan struct{})
	r, err := http.NewRequestWithContext(ctx, method, g.url+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	r.Header.Set("Hold", "yes")
	go func() {
		defer close(done)
		if res, err := http.DefaultTransport.RoundTrip(r); err == nil {
			res.Body.Close()
		}
	}()
	select {
	case <-arrived:
	case <-done:
		g.t.Fatalf("%s %s ended", method, path)
	}
	return func() { cancel(); <-done }
}

func TestStreamsAndWaitsOfOneUserAreLimited(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	arrived := make(chan struct{})
	g.up.respondWith(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Hold") != "" {
			arrived <- struct{}{}
			<-r.Context().Done()
			return
		}
		echo(w, r)
	})
	ann, bob := g.client(7), g.client(8)
	var ends []func()
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	for range 4 {
		ends = append(ends, g.hold("GET", "/sales/7/stream", arrived, "Authorization", ann),
			g.hold("POST", "/sales", arrived, "Authorization", ann, "Prefer", "respond-async", "Prefer", "handling=strict, Wait = 30"))
	}
	for _, a := range []response{
		g.do("GET", "/sales/7/stream", "", "Authorization", ann), g.do("POST", "/sales", "{}", "Authorization", ann, "Prefer", "wait=30"),
	} {
		if g.expect(a, 429, "too_many_streams").header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	g.expect(g.do("POST", "/sales", "{}", "Authorization", ann), 200, "")
	g.expect(g.do("POST", "/sales", "{}", "Authorization", ann, "Prefer", "respond-async"), 200, "")
	ends = append(ends, g.hold("GET", "/sales/7/stream", arrived, "Authorization", bob))
	for _, end := range ends {
		end()
	}
	testenv.Eventually(t, "the requests of disconnected clients no longer count", func() bool {
		return g.do("GET", "/sales/7/stream", "", "Authorization", ann).status == 200
	})
}

func TestLongRunningRequestsOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	arrived, release := make(chan struct{}), make(chan struct{})
	g.up.respondWith(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Hold") != "" {
			arrived <- struct{}{}
			<-release
		}
	})
	var ends []func()
	for user := range int64(8) {
		for range 8 {
			ends = append(ends, g.hold("GET", "/sales/7/stream", arrived, "Authorization", g.client(user+1)))
		}
	}
	g.expect(g.do("GET", "/sales/7/stream", "", "Authorization", g.client(9)), 429, "too_many_streams")
	g.expect(g.do("GET", "/sales/7", "", "Authorization", g.client(9)), 200, "")
	close(release)
	for _, end := range ends {
		end()
	}
	testenv.Eventually(t, "the requests no longer count", func() bool {
		return g.do("GET", "/sales/7/stream", "", "Authorization", g.client(9)).status == 200
	})
}

func TestTooLargeBodyCountsAgainstRateLimit(t *testing.T) {
	t.Parallel()
	g := start(t, setup{origins: []string{"https://shop.example"}, limits: map[string]*limit.Limiter{
		route.LimitDefault: limit.New(1, time.Hour, 1), route.LimitLogin: limit.New(1, time.Hour, 1),
	}})
	huge := strings.Repeat("x", 1<<20+1)
	a := g.expect(g.do("POST", "/sales", huge, "Authorization", g.client(7), "Origin", "https://shop.example"), 413, "body_too_large")
	if a.header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("the refusal is hidden from scripts")
	}
	g.expect(g.do("GET", "/sales", "", "Authorization", g.client(7)), 429, "rate_limited")
	g.expect(g.do("GET", "/sales", "", "Authorization", g.client(8)), 200, "")
	g.expect(g.do("POST", "/auth/login", huge), 413, "body_too_large")
	g.expect(g.do("POST", "/auth/login", "{}"), 429, "rate_limited")
	if n := g.up.calls(); n != 1 {
		t.Errorf("%d calls were passed on, want 1", n)
	}
}

func TestForwardedAddressIsUsedOnlyFromTrustedProxies(t *testing.T) {
	t.Parallel()
	one := map[string]*limit.Limiter{route.LimitDefault: limit.New(1, time.Hour, 1)}
	g := start(t, setup{limits: one})
	g.expect(g.do("GET", "/products", "", "X-Forwarded-For", "203.0.113.1"), 200, "")
	g.expect(g.do("GET", "/products", "", "X-Forwarded-For", "203.0.113.2"), 429, "rate_limited")

	var loopback clientaddr.Proxies
	if err := loopback.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	g = start(t, setup{limits: map[string]*limit.Limiter{route.LimitDefault: limit.New(1, time.Hour, 1)}, proxies: loopback})
	g.expect(g.do("GET", "/products?inStock=true", "", "X-Forwarded-For", "203.0.113.1"), 200, "")
	g.expect(g.do("GET", "/products", "", "X-Forwarded-For", "203.0.113.2"), 200, "")
	g.expect(g.do("GET", "/products", "", "X-Forwarded-For", "203.0.113.1"), 429, "rate_limited")
}

func TestUnreachableUpstreamIs503(t *testing.T) {
	t.Parallel()
	g := start(t, setup{upstream: unusedURL(t)})
	for _, a := range []response{
		g.do("POST", "/auth/login", "{}"), g.do("GET", "/products/7", ""), g.do("GET", "/sales", "", "Authorization", g.client(7)),
	} {
		if g.expect(a, 503, "unavailable").header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

// closeConnection closes the connection without a response.
func closeConnection(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func TestReadsWithoutResponseAreRetriedAndWritesAreNot(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	var calls atomic.Int64
	g.up.respondWith(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) <= 2 {
			closeConnection(w, r)
			return
		}
		text("ok")(w, r)
	})
	g.expect(g.do("GET", "/sales", "", "Authorization", g.client(7)), 200, "")
	if n := calls.Load(); n != 3 {
		t.Errorf("a read was made %d times, want 3", n)
	}
	calls.Store(0)
	g.expect(g.do("DELETE", "/stock/7/remove/3", "", "Authorization", g.manager(1)), 503, "unavailable")
	if n := calls.Load(); n != 1 {
		t.Errorf("a write was made %d times, want 1", n)
	}
}

func TestCircuitBreakerOpensAndCloses(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(closeConnection)
	token := g.client(7)
	read := func() response { return g.do("GET", "/sales", "", "Authorization", token) }
	for range 10 {
		g.expect(read(), 503, "unavailable")
	}
	before := g.up.calls()
	g.expect(read(), 503, "unavailable")
	if n := g.up.calls() - before; n != 0 {
		t.Errorf("%d calls through an open breaker", n)
	}
	g.up.respondWith(text("ok"))
	testenv.Eventually(t, "the breaker closes", func() bool { return read().status == 200 })
	for range 5 {
		g.expect(read(), 200, "")
	}
}

func TestResponsesOfAnyStatusKeepTheBreakerClosed(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "9")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for range 40 {
		if a := g.do("GET", "/sales", "", "Authorization", g.client(7)); a.status != 503 || a.header.Get("Retry-After") != "9" {
			t.Fatalf("got %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
		}
	}
}

const slowRoutes = `routes:
- {path: /slow, methods: [GET, POST], upstream: auth, access: public, timeout: 50ms}
- {path: /stream, methods: [GET], upstream: auth, access: public, timeout: 5s, stream: true}
`

func TestUnresponsiveUpstreamTimesOut(t *testing.T) {
	t.Parallel()
	g := start(t, setup{routes: slowRoutes})
	release := make(chan struct{})
	defer close(release)
	g.up.respondWith(func(http.ResponseWriter, *http.Request) { <-release })
	if a := g.expect(g.do("POST", "/slow", "{}"), 503, "timeout"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestStreamIsUnbufferedAndEndsWhenGatewayDrains(t *testing.T) {
	t.Parallel()
	drain := make(chan struct{})
	g := start(t, setup{routes: slowRoutes, drain: drain})
	next, gone := make(chan string), make(chan struct{})
	g.up.respondWith(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case line := <-next:
				_, _ = io.WriteString(w, line+"\n")
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	res, err := http.Get(g.url + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for _, want := range []string{"data: 1", "data: 2"} {
		next <- want
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, %v, want %q", lines.Text(), lines.Err(), want)
		}
	}
	close(drain)
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("the stream goes on: %q, %v", lines.Text(), lines.Err())
	}
	<-gone
}

func TestClientDisconnectCancelsWait(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	arrived, gone := make(chan struct{}), make(chan struct{})
	g.up.respondWith(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		close(gone)
	})
	g.hold("GET", "/sales", arrived, "Authorization", g.client(7), "Prefer", "wait=30")()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the service still works for a client that disconnected 20 s ago")
	}
}

func TestHalfClosedClientReceivesResponse(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(text("late"))
	for _, header := range []string{"", "Prefer: wait=5\r\n"} {
		for _, target := range []string{"/sales", "/products/7"} { // forwarded, and a cache miss
			conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: x\r\nAuthorization: "+g.client(7)+"\r\n"+header+"\r\n")
			if err == nil {
				err = conn.(*net.TCPConn).CloseWrite()
			}
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != 200 {
				t.Errorf("%s %s: got %v, %v", target, header, res, err)
			}
			_ = conn.Close()
		}
	}
}

func TestIncompleteResponseIs503(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("X-Chunked") == "" {
			w.Header().Set("Content-Length", "100000")
		}
		_, _ = io.WriteString(w, productPage(20))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	for _, headers := range [][]string{nil, {"Accept-Encoding", "gzip"}, {"X-Chunked", "1"}} {
		g.expect(g.do("GET", "/sales", "", append(headers, "Authorization", g.client(7))...), 503, "unavailable")
	}
}

func TestBodiesPassWholeUpToTheLimit(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, size := range []int{1, 64 << 10, 64<<10 + 1, 700 << 10, 1 << 20} {
		body := strings.Repeat("x", size)
		if a := g.do("POST", "/auth/login", body); a.status != 200 || a.raw != body {
			t.Errorf("%d bytes: got %d, %d bytes", size, a.status, len(a.raw))
		}
	}
	g.expect(g.do("POST", "/auth/login", strings.Repeat("x", 1<<20+1)), 413, "body_too_large")
	for size, want := range map[int]int{100: 200, 100 << 10: 200, 2 << 20: 413} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/auth/login", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r) // chunked, without a length
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != want {
			t.Errorf("%d bytes, chunked: got %d, %v, want %d", size, res.StatusCode, err, want)
		}
	}
}

func TestIncompleteRequestBodyDoesNotReachUpstream(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, length := range []int{10, 20_000} {
		g.bodyEndsEarly(length)
	}
}

// bodyEndsEarly sends a part of a body of a length.
func (g *fixture) bodyEndsEarly(length int) {
	t := g.t
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: "+strconv.Itoa(length)+"\r\n\r\n"+strings.Repeat("x", length/2)); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 400 || g.up.calls() != 0 {
		t.Errorf("got %d after %d calls, want 400 after none", res.StatusCode, g.up.calls())
	}
}

func TestPublicReadsAreServedFromTheCache(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(text("v1"))
	expect := func(method, path, status string, headers ...string) response {
		t.Helper()
		a := g.do(method, path, "", headers...)
		if !strings.Contains(a.header.Get("Cache-Status"), status) {
			t.Errorf("%s %s: Cache-Status %q, want %q", method, path, a.header.Get("Cache-Status"), status)
		}
		return a
	}
	first := expect("GET", "/products/7", "fwd=uri-miss")
	if first.raw != "v1" || first.header.Get("ETag") != `"v1"` || first.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("response %q %v", first.raw, first.header)
	}
	hit := expect("GET", "/products/7", "hit", "Authorization", g.client(7))
	if hit.raw != "v1" {
		t.Errorf("response %q", hit.raw)
	}
	for _, name := range []string{"Traceparent", "X-Request-Id"} {
		if v := hit.header.Get(name); v == "" || v == first.header.Get(name) {
			t.Errorf("%s %q, want one of this request, not of the first, %q", name, v, first.header.Get(name))
		}
	}
	if a := expect("GET", "/products/7", "hit", "If-None-Match", `"v0"`, "If-None-Match", `"v1"`); a.status != 304 || a.raw != "" {
		t.Errorf("a second line: %d %q", a.status, a.raw)
	}
	if a := expect("GET", "/products/7", "hit", "If-None-Match", `"v1"`); a.status != 304 || a.raw != "" {
		t.Errorf("response %d %q", a.status, a.raw)
	}
	if a := expect("HEAD", "/products/7", "hit"); a.status != 200 {
		t.Errorf("response %d", a.status)
	}
	g.up.respondWith(text("v2"))
	g.cache.Changed("/products/7")
	if a := expect("GET", "/products/7", "fwd=uri-miss"); a.raw != "v2" {
		t.Errorf("after a change: %q", a.raw)
	}
	if got := g.up.last(); got.Header.Get("Authorization") != "" || got.URL.RawQuery != "" {
		t.Errorf("the shared call had %v and %q", got.Header, got.URL.RawQuery)
	}
}

func TestClientSeesItsOwnChange(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	status := http.StatusOK
	g.up.respondWith(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(status)
			return
		}
		text(strconv.Itoa(g.up.calls()))(w, r)
	})
	before := g.do("GET", "/products/7", "").raw
	status = http.StatusConflict
	g.do("PUT", "/products", "{}", "Authorization", g.manager(1))
	if got := g.do("GET", "/products/7", "").raw; got != before {
		t.Errorf("after a refused change: %s, want %s from the cache", got, before)
	}
	status = http.StatusOK
	g.do("PUT", "/products", "{}", "Authorization", g.manager(1))
	if got := g.do("GET", "/products/7", "").raw; got == before {
		t.Error("after a change: the response from before")
	}
}

func TestListsAreCachedByTheirParameters(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(func(w http.ResponseWriter, r *http.Request) { text(r.URL.RawQuery)(w, r) })
	for _, c := range []struct{ query, want, status string }{
		{"", "", "uri-miss"},
		{"?limit=2&sort=name", "limit=2&sort=name", "uri-miss"},
		{"?sort=name&limit=2", "limit=2&sort=name", "hit"},
		{"?sort=price", "sort=price", "uri-miss"},
		{"?q=a%26b", "q=a%26b", "uri-miss"},
		{"?inStock=true", "inStock=true", ""},
		{"?inStock=true", "inStock=true", ""},
		// The service refuses these, or reads them in another way.
		{"?limit=2&minPrise=1&sort=name", "limit=2&minPrise=1&sort=name", ""},
		{"?limit=2&sort=name&sort=price", "limit=2&sort=name&sort=price", ""},
		{"?limit=2&sort=name&q=", "limit=2&sort=name&q=", ""},
		{"?limit=2&sort=name;q=1", "limit=2&sort=name;q=1", ""},
	} {
		a := g.do("GET", "/products"+c.query, "")
		if a.raw != c.want || !strings.Contains(a.header.Get("Cache-Status"), c.status) || (c.status == "") != (a.header.Get("Cache-Status") == "") {
			t.Errorf("%s: got %q, Cache-Status %q; want %q, %q", c.query, a.raw, a.header.Get("Cache-Status"), c.want, c.status)
		}
	}
}

func TestNonCanonicalIDIsNotCached(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, path := range []string{"/products/007", "/products/+7", "/products/x", "/products/0", "/products/9223372036854775808", "/products/7?x=1"} {
		for range 2 {
			if a := g.do("GET", path, ""); a.header.Get("Cache-Status") != "" {
				t.Errorf("%s: Cache-Status %q", path, a.header.Get("Cache-Status"))
			}
		}
	}
}

func TestScriptsOfListedOriginsMayCall(t *testing.T) {
	t.Parallel()
	g := start(t, setup{origins: []string{"https://shop.example"}})
	preflight := func(origin string) http.Header {
		a := g.do("OPTIONS", "/products", "", "Origin", origin, "Access-Control-Request-Method", "PUT")
		if a.status != 204 {
			t.Errorf("preflight: got %d", a.status)
		}
		return a.header
	}
	h := preflight("https://shop.example")
	if h.Get("Access-Control-Allow-Origin") != "https://shop.example" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "PUT") ||
		!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Idempotency-Key") || !slices.Equal(h.Values("Vary"), []string{"Accept-Encoding, Origin"}) {
		t.Errorf("preflight: %v", h)
	}
	if h := preflight("https://evil.example"); h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign preflight: %v", h)
	}
	a := g.do("GET", "/sales", "", "Origin", "https://shop.example")
	if a.status != 401 || a.header.Get("Access-Control-Allow-Origin") == "" || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("an error is hidden from scripts: %d %v", a.status, a.header)
	}
	exposed := strings.Split(a.header.Get("Access-Control-Expose-Headers"), ", ")
	for _, name := range []string{"X-Request-Id", "Traceparent", "Preference-Applied", "Age"} {
		if !slices.Contains(exposed, name) {
			t.Errorf("scripts see %v, want %s among it", exposed, name)
		}
	}
	if a := start(t, setup{}).do("GET", "/products", "", "Origin", "https://shop.example"); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without origins: %v", a.header)
	}
}

func TestNewTableIsUsedFromNextRequest(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.expect(g.do("GET", "/other", ""), 404, "not_found")
	table, err := route.Parse([]byte(`routes: [{path: /other, methods: [GET, POST], upstream: auth, access: public}]`))
	if err != nil {
		t.Fatal(err)
	}
	g.gateway.Use(table)
	g.expect(g.do("GET", "/other", ""), 200, "")
	g.expect(g.do("GET", "/products", ""), 404, "not_found")
	if g.gateway.Forwarded("POST", "/other") == nil || g.gateway.Forwarded("GET", "/products/{productId}") != nil {
		t.Error("Forwarded does not follow the table")
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	token := g.client(7)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			body := strings.Repeat(strconv.Itoa(i%10), 1000+i*3000)
			for range 10 {
				if a := g.do("POST", "/sales", body, "Authorization", token); a.status != 200 || a.raw != body {
					t.Errorf("got %d, %d bytes of %d", a.status, len(a.raw), len(body))
				}
			}
		})
	}
	wg.Wait()
}

func TestOnlyTheDeviceCookieReachesLogin(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "device=new; Path=/auth/login; HttpOnly")
		w.Header().Add("X-Seen", r.Header.Get("Cookie"))
	})
	for _, c := range []struct{ method, path, want string }{{"POST", "/auth/login", "device=x"}, {"POST", "/auth/refresh", ""}, {"GET", "/auth/me", ""}} {
		a := g.do(c.method, c.path, "", "Cookie", "token=secret; device=x; other=y", "Authorization", g.client(7))
		if got := a.header.Get("X-Seen"); a.status != 200 || got != c.want {
			t.Errorf("%s: got %d, the service received %q, want %q", c.path, a.status, got, c.want)
		}
		if got := a.header.Get("Set-Cookie"); got != "device=new; Path=/auth/login; HttpOnly" {
			t.Errorf("%s: the client received %q", c.path, got)
		}
	}
}

func TestServiceReceivesForwardedProto(t *testing.T) {
	t.Parallel()
	var loopback clientaddr.Proxies
	if err := loopback.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		proxies clientaddr.Proxies
		want    string
	}{"a client that claims it": {clientaddr.Proxies{}, "http"}, "a trusted proxy": {loopback, "https"}} {
		g := start(t, setup{proxies: c.proxies})
		g.do("POST", "/auth/login", "{}", "X-Forwarded-Proto", "https")
		if got := g.up.last().Header.Get("X-Forwarded-Proto"); got != c.want {
			t.Errorf("%s: the service received %q, want %q", name, got, c.want)
		}
	}
}

func TestResponseBuffersAreReleasedWhenClientDisconnects(t *testing.T) {
	t.Parallel()
	const all = 1 << 20
	g := start(t, setup{buffers: all})
	large := `{"name":"` + strings.Repeat("x", 700<<10) + `"}`
	g.up.respondWith(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) })
	token := g.client(7)
	slow := g.wire()
	_ = slow.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := io.WriteString(slow, "GET /sales HTTP/1.1\r\nHost: x\r\nAuthorization: "+token+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Read(make([]byte, 16)); err != nil { // The response has begun.
		t.Fatal(err)
	}
	_ = slow.Close()
	testenv.Eventually(t, "the buffers are free", func() bool {
		free := g.buffers.TryAcquire(all)
		if free {
			g.buffers.Release(all)
		}
		return free
	})
	for range 3 {
		if a := g.do("GET", "/sales", "", "Authorization", token); a.raw != large {
			t.Errorf("got %d with %d bytes, want %d", a.status, len(a.raw), len(large))
		}
	}
	g.buffers.TryAcquire(all)
	g.expect(g.do("GET", "/sales", "", "Authorization", token), 503, "unavailable")
	g.up.respondWith(text("small"))
	g.expect(g.do("GET", "/sales", "", "Authorization", token), 200, "")
}

func TestBodyOfGETIsIgnored(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for range 3 {
		for _, target := range []string{"/sales", "/products/7", "/products/x"} { // forwarded, cached, and never cached
			g.expect(g.do("GET", target, "a body", "Authorization", g.client(7)), 200, "")
		}
	}
}
