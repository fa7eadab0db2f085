package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"golang.org/x/sync/semaphore"

	"ecommerce-stack.dev/services/gateway/internal/cache"
	"ecommerce-stack.dev/services/gateway/internal/gateway"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/clientaddr"
	"ecommerce-stack.dev/services/internal/connection"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/limit"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// upstream is a service that the test sets the responses of. It stores the requests.
type upstream struct {
	*httptest.Server
	mu      sync.Mutex
	handler http.HandlerFunc
	seen    []*http.Request
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{handler: echo}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, r)
		handler := u.handler
		u.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

// echo responds with the body of the request, if all of it arrives.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

func (u *upstream) respondWith(h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.handler = h
}

func (u *upstream) calls() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.seen)
}

// take returns the requests since the last time.
func (u *upstream) take() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

func (u *upstream) last() *http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen[len(u.seen)-1]
}

// fixture is a gateway in front of one upstream, which plays all three.
type fixture struct {
	t       testing.TB
	url     string
	up      *upstream
	keys    *authntest.Keys
	cache   *cache.Cache
	gateway *gateway.Gateway
	server  *gateway.Server
	table   *connection.Table
	metrics *prometheus.Registry
	buffers *semaphore.Weighted
}

type setup struct {
	routes  string
	limits  map[string]*limit.Limiter
	origins gateway.Origins
	proxies clientaddr.Proxies
	drain   chan struct{}

	upstream    string          // URL of another one than a server of the test's own
	keys        *authntest.Keys // the fixture's own if nil
	log         *slog.Logger    // none if nil
	connections connection.Limits
	buffers     int64 // bytes; 32 MiB if 0
	tls         *tls.Config
}

func start(t testing.TB, s setup) *fixture {
	t.Helper()
	routes := route.BuiltIn()
	if s.routes != "" {
		routes = []byte(s.routes)
	}
	table, err := route.Parse(routes)
	if err != nil {
		t.Fatal(err)
	}
	g := &fixture{t: t, up: newUpstream(t), keys: s.keys}
	if g.keys == nil {
		g.keys = authntest.New(t)
	}
	if s.upstream == "" {
		s.upstream = g.up.URL
	}
	base, err := url.Parse(s.upstream)
	if err != nil {
		t.Fatal(err)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.buffers == 0 {
		s.buffers = 32 << 20
	}
	g.metrics, g.buffers = telemetry.NewRegistry("gateway"), semaphore.NewWeighted(s.buffers)
	calls := proxy.NewMetrics(g.metrics)
	upstreams := map[string]*proxy.Upstream{}
	for _, name := range route.Upstreams {
		upstreams[name] = proxy.NewUpstream(name, base, g.buffers, calls)
		t.Cleanup(upstreams[name].Close)
	}
	g.cache = cache.New(30*time.Second, 8<<20, g.metrics)
	g.cache.SetConnected(true)
	g.gateway = gateway.New(gateway.Options{
		Table: table, Upstreams: upstreams, Verifier: g.keys.Verifier(t), Limits: s.limits, Origins: s.origins,
		Proxies: s.proxies, Cache: g.cache, Buffers: g.buffers, Draining: s.drain, Log: s.log, Metrics: g.metrics,
	})
	if s.connections.Max == 0 {
		s.connections = connection.Limits{Max: 10_000, PerAddress: 10_000, Refusal: gateway.Refusal()}
	}
	s.connections.Exempt = s.proxies.Trusts
	g.table = connection.NewTable(s.connections, g.metrics)
	g.server = gateway.NewServer(g.gateway, g.table, s.tls)
	g.listen(s.tls != nil)
	return g
}

// probes registers the health probes as main does.
func (g *fixture) probes() {
	checks := health.New()
	for path, probe := range map[string]http.HandlerFunc{"/health": checks.Health, "/livez": checks.Live, "/readyz": checks.Ready} {
		g.gateway.Probe(path, plainPage(probe))
	}
}

// plainPage is a page that is served by a net/http handler.
func plainPage(h http.HandlerFunc) gateway.Serve {
	serve := fasthttpadaptor.NewFastHTTPHandlerFunc(h)
	return func(ctx *fasthttp.RequestCtx) error { serve(ctx); return nil }
}

func (g *fixture) listen(https bool) {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = g.server.Serve(l) }()
	g.t.Cleanup(func() { _ = g.server.Close(); <-ended })
	g.url = "http://" + l.Addr().String()
	if https {
		g.url = "https://" + l.Addr().String()
	}
}

// unusedURL returns the URL of a port that is bound, so that no test listens on it.
func unusedURL(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", address.(*syscall.SockaddrInet4).Port)
}

// asItIs requests no content coding and decodes none.
var asItIs = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}

type response struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

func (g *fixture) do(method, path, body string, headers ...string) response {
	g.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url, reader)
	if err != nil {
		g.t.Fatal(err)
	}
	r.URL.Opaque = path // as it is written
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := asItIs.RoundTrip(r)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	a := response{status: res.StatusCode, header: res.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body)
	return a
}

func (g *fixture) expect(a response, status int, code string) response {
	g.t.Helper()
	got, _ := a.body["code"].(string)
	if a.status != status || got != code {
		g.t.Errorf("got %d %q, want %d %q\n%s", a.status, got, status, code, a.raw)
	}
	return a
}

func (g *fixture) client(id int64) string  { return g.keys.Bearer(g.t, id, authn.Client) }
func (g *fixture) manager(id int64) string { return g.keys.Bearer(g.t, id, authn.Manager) }

// text responds 200 with a body and an ETag of it.
func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"`+body+`"`)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

// wire is a client that sends the same bytes again and again, and allocates nothing.
type wire struct {
	net.Conn
	in []byte
}

// do sends a request, and reads the response, whose body ends with end.
func (w *wire) do(t testing.TB, request, end []byte) {
	t.Helper()
	if _, err := w.Write(request); err != nil {
		t.Fatal(err)
	}
	for n := 0; !bytes.HasSuffix(w.in[:n], end); {
		more, err := w.Read(w.in[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += more
	}
}

func (g *fixture) wire() *wire {
	g.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	return &wire{c, make([]byte, 64<<10)}
}
