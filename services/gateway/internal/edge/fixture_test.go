package edge_test

import (
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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/gateway/internal/cache"
	"ecommerce-stack.dev/services/gateway/internal/client"
	"ecommerce-stack.dev/services/gateway/internal/edge"
	"ecommerce-stack.dev/services/gateway/internal/eventloop"
	"ecommerce-stack.dev/services/gateway/internal/eventloop/eventlooptest"
	"ecommerce-stack.dev/services/gateway/internal/http1"
	"ecommerce-stack.dev/services/gateway/internal/limit"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// upstream is a service that the test writes the answers of. It keeps the requests.
type upstream struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	seen   []*http.Request
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{answer: echo}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, r)
		answer := u.answer
		u.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

// echo answers with the body of the request, if all of it arrives.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

func (u *upstream) answers(h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = h
}

func (u *upstream) calls() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.seen)
}

func (u *upstream) last() *http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen[len(u.seen)-1]
}

// gateway in front of one upstream, which plays all three.
type gateway struct {
	t       testing.TB
	url     string
	up      *upstream
	keys    *authntest.Keys
	cache   *cache.Cache
	edge    *edge.Edge
	srv     *server.Server
	metrics *prometheus.Registry
	taken   atomic.Int64 // requests that the fast path has answered
}

type setup struct {
	routes  string
	limits  map[string]*limit.Limiter
	origins edge.Origins
	proxies client.Proxies
	drain   chan struct{}

	upstream string          // URL of another one than a server of the test's own
	keys     *authntest.Keys // the gateway's own if nil
	log      *slog.Logger    // none if nil
	uncached bool            // there is no cache
	handler  bool            // answers everything with the handler

	after func(*http1.Plain) // is called where the fast path has answered, unless it is nil
}

func start(t testing.TB, s setup) *gateway {
	t.Helper()
	routes := route.BuiltIn()
	if s.routes != "" {
		routes = []byte(s.routes)
	}
	table, err := route.Parse(routes)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, up: newUpstream(t), keys: s.keys}
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
	reg, log := telemetry.NewRegistry("gateway"), s.log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	g.metrics = reg
	calls := proxy.NewMetrics(reg)
	loops := eventlooptest.Start(t)
	upstreams := map[string]*proxy.Upstream{}
	for _, name := range route.Upstreams {
		upstreams[name] = proxy.NewUpstream(name, base, loops, calls)
		t.Cleanup(upstreams[name].Close)
	}
	g.cache = cache.New(30*time.Second, reg)
	g.cache.Hears(true)
	g.srv = server.New(server.Options{Name: "gateway", Log: log, Metrics: reg, Health: health.New()})
	answers := g.cache
	if s.uncached {
		answers = nil
	}
	g.edge = edge.New(edge.Options{
		Table: table, Upstreams: upstreams, Verifier: g.keys.Verifier(t), Limits: s.limits, Origins: s.origins,
		Proxies: s.proxies, Cache: answers, Draining: s.drain, Log: log, Metrics: reg, Observer: g.srv,
	})
	g.srv.Fallback(g.edge)
	g.srv.Refuse(g.edge.Refuse)
	fast := func(p *http1.Plain) bool {
		g.taken.Add(1)
		taken := g.edge.Fast(p)
		if !taken {
			g.taken.Add(-1)
		} else if s.after != nil {
			s.after(p)
		}
		return taken
	}
	if s.handler {
		fast = nil
	}
	g.url = listen(t, g.srv, loops, fast)
	return g
}

// nobody is the URL of a port that nobody listens on, nor will: it is bound. A port that was
// closed is soon another test's.
func nobody(t testing.TB) string {
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

// listen serves as the gateway does.
func listen(t testing.TB, srv *server.Server, loops *eventloop.Group, fast func(*http1.Plain) bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http1.Server{Handler: srv.Handler(), Refuse: srv.Malformed, Log: slog.New(slog.DiscardHandler), Loops: loops, Fast: fast, Limits: http1.Limits{
		Header: 5 * time.Second, Read: 30 * time.Second, Write: 60 * time.Second, Idle: 2 * time.Minute, HeaderBytes: 32 << 10}}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-ended })
	return "http://" + l.Addr().String()
}

// asItIs asks for no encoding of its own and undoes none.
var asItIs = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}

type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

func (g *gateway) do(method, path, body string, headers ...string) answer {
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
	a := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body)
	return a
}

func (g *gateway) expect(a answer, status int, code string) answer {
	g.t.Helper()
	got, _ := a.body["code"].(string)
	if a.status != status || got != code {
		g.t.Errorf("got %d %q, want %d %q\n%s", a.status, got, status, code, a.raw)
	}
	return a
}

func (g *gateway) client(id int64) string  { return g.keys.Bearer(g.t, id, authn.Client) }
func (g *gateway) manager(id int64) string { return g.keys.Bearer(g.t, id, authn.Manager) }

// text answers 200 with a body and an ETag of it.
func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"`+body+`"`)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}
