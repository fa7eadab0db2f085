package docs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/gateway/internal/docs"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/gateway/internal/route"
)

func TestTheDocumentIsThereOnceEveryServiceHasAnswered(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	away.Store(true)
	metrics := proxy.NewMetrics(prometheus.NewRegistry())
	var upstreams []*proxy.Upstream
	for _, name := range []string{"auth", "stock"} {
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if name == "stock" && away.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"paths": map[string]any{"/" + name: map[string]any{"get": map[string]any{}}}})
		}))
		t.Cleanup(service.Close)
		base, err := url.Parse(service.URL)
		if err != nil {
			t.Fatal(err)
		}
		u := proxy.NewUpstream(name, base, nil, metrics)
		t.Cleanup(u.Close)
		upstreams = append(upstreams, u)
	}
	d := docs.New(upstreams, func(string, string) *route.Route { return &route.Route{} })
	ask := func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		d.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
		return rec
	}
	if rec := ask(); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Errorf("with a service away: got %d %v", rec.Code, rec.Header())
	}
	away.Store(false)
	rec := ask()
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"/stock"`) {
		t.Fatalf("got %d %s", rec.Code, rec.Body)
	}
	away.Store(true)
	if again := ask(); !slices.Equal(again.Body.Bytes(), rec.Body.Bytes()) {
		t.Errorf("the document did not serve on: %d %s", again.Code, again.Body)
	}
}

func TestThePageLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	page, err := docs.Page()
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		page.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != http.StatusOK {
			t.Fatalf("%s: got %d", path, rec.Code)
		}
		return rec
	}
	rec := get("/docs")
	html := rec.Body.String()
	for _, loads := range []string{`src="`, `href="`} {
		for _, part := range strings.Split(html, loads)[1:] {
			target, _, _ := strings.Cut(part, `"`)
			if !strings.HasPrefix(target, "/docs/") {
				t.Errorf("the page loads %s", target)
				continue
			}
			get(target)
		}
	}
	csp := rec.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "'sha256-") || strings.Contains(csp, "http") {
		t.Errorf("Content-Security-Policy: %s", csp)
	}
}
