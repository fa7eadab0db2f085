package edge_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/limit"
	"ecommerce-stack.dev/services/gateway/internal/route"
)

// TestARequestStaysWithinItsBudget counts what a request allocates in the gateway.
// Whoever goes above a budget has made every request dearer, and may raise it knowingly.
// It is not parallel: what other tests allocate would count.
func TestARequestStaysWithinItsBudget(t *testing.T) { //nolint:paralleltest // see above
	g := start(t, setup{limits: map[string]*limit.Limiter{route.LimitDefault: limit.New(1e9, time.Second, 1e6)}})
	g.up.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":7}`) })
	bearer := g.client(7)
	for _, c := range []struct {
		name, path, auth string
		budget           float64
	}{
		{"cached", "/products/7", "", 24},
		// The upstream of the test is in this process, and its net/http server counts.
		{"passed on", "/sales/7", bearer, 68},
		{"refused", "/sales/7", "", 32},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Header.Set("Authorization", c.auth)
		w := &discarded{header: http.Header{}}
		if got := testing.AllocsPerRun(500, func() {
			clear(w.header)
			g.srv.Handler().ServeHTTP(w, r)
		}); got > c.budget {
			t.Errorf("%s: %.0f allocations a request, the budget is %.0f", c.name, got, c.budget)
		}
	}
}

// TestAPlainRequestStaysWithinItsBudget counts it on a connection, through the fast path. The
// client and the upstream of the test allocate nothing.
func TestAPlainRequestStaysWithinItsBudget(t *testing.T) { //nolint:paralleltest // see above
	p := newPlain(t)
	for _, c := range []struct {
		name, request string
		budget        float64
	}{
		{"cached", p.cached, 5},
		{"passed on", p.passedOn, 6},
	} {
		before := p.taken.Load()
		if got := testing.AllocsPerRun(500, func() { p.do(t, c.request) }); got > c.budget {
			t.Errorf("%s: %.0f allocations a request, the budget is %.0f", c.name, got, c.budget)
		}
		if taken := p.taken.Load() - before; taken < 500 {
			t.Errorf("%s: the fast path answered %d of 501", c.name, taken)
		}
	}
}

// TestALargeAnswerThatIsKeptIsNotCopiedForEachClient has connections that have had it stay
// open, as those of clients that read slowly do.
func TestALargeAnswerThatIsKeptIsNotCopiedForEachClient(t *testing.T) { //nolint:paralleltest // see above
	const size, clients = 200 << 10, 40
	g := start(t, setup{})
	large := `{"name":"` + strings.Repeat("x", size) + `"}`
	g.up.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, large)
	})
	g.expect(g.do(http.MethodGet, "/products/7", ""), http.StatusOK, "") // From now on it is kept.
	used := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, taken := used(), g.taken.Load()
	for range clients {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /products/7 HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n != int64(len(large)) {
			t.Fatalf("%d bytes of %d, %v", n, len(large), err)
		}
	}
	if taken = g.taken.Load() - taken; taken != clients {
		t.Errorf("the fast path answered %d of %d", taken, clients)
	}
	if more := used() - before; more > clients*size/4 {
		t.Errorf("%d KiB more are in use for %d clients that have had %d KiB each", more>>10, clients, size>>10)
	}
}

// discarded is an answer that costs nothing.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(int)             {}
