package edge_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/limit"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
)

// benchmarkPage measures a list of 50 products, with and without compression.
func benchmarkPage(b *testing.B, g *gateway) {
	page := productPage(50)
	g.up.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, page)
	})
	for _, c := range []struct{ name, path, accept string }{
		{"page cached", "/products", ""},
		{"page cached gzip", "/products", "gzip"},
		{"page passed on", "/products?inStock=true", ""},
		{"page passed on gzip", "/products?inStock=true", "gzip"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var sent int
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, c.path, nil)
				if c.accept != "" {
					r.Header.Set("Accept-Encoding", c.accept)
				}
				rec := httptest.NewRecorder()
				g.srv.Handler().ServeHTTP(rec, r)
				sent = rec.Body.Len()
			}
			b.ReportMetric(float64(sent), "sent_B")
		})
	}
}

// BenchmarkGateway measures what the gateway itself costs: a request in memory, and,
// for what is passed on, one call to an upstream on loopback.
func BenchmarkGateway(b *testing.B) {
	g := start(b, setup{limits: map[string]*limit.Limiter{
		route.LimitDefault: limit.New(1e9, time.Second, 1e6),
	}})
	g.up.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":7}`) })
	eddsa := g.keys.Bearer(b, 7, authn.Client)
	for _, c := range []struct{ name, path, auth string }{
		{"cached", "/products/7", ""},
		{"passed on", "/sales/7", eddsa},
		{"refused", "/sales/7", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r := httptest.NewRequest(http.MethodGet, c.path, nil)
					r.Header.Set("Authorization", c.auth)
					g.srv.Handler().ServeHTTP(httptest.NewRecorder(), r)
				}
			})
		})
	}
	benchmarkPage(b, g)
	b.Run("token", func(b *testing.B) {
		for _, key := range []string{"EdDSA", "HS256"} {
			keys := authntest.New(b)
			if key == "HS256" {
				keys.Write(b, authntest.SymmetricKey("h"))
			}
			v, token := keys.Verifier(b), keys.Token(b, 7, authn.Client)
			b.Run(key, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := v.Verify(token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}
