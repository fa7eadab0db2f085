package edge_test

import (
	"io"
	"net/http"
	"net/http/httptest"
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
		{"cached", p.cached, 7},
		{"passed on", p.passedOn, 8},
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

// discarded is an answer that costs nothing.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(int)             {}
