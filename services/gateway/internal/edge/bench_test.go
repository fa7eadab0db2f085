package edge_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
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

// plain is a client's connection to a gateway before an upstream that answers without
// allocating anything.
type plain struct {
	*gateway
	c                net.Conn
	buffer           []byte
	cached, passedOn string
}

func newPlain(t testing.TB) *plain {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				answer, in := []byte(plainAnswer), make([]byte, 16<<10)
				for {
					if _, err := c.Read(in); err != nil { // one small request
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	p := &plain{buffer: make([]byte, 16<<10), gateway: start(t, setup{upstream: "http://" + l.Addr().String(),
		limits: map[string]*limit.Limiter{route.LimitDefault: limit.New(1e9, time.Second, 1e6)}})}
	p.c, err = net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.c.Close() })
	p.cached = "GET /products/7 HTTP/1.1\r\nHost: shop\r\n\r\n"
	p.passedOn = "GET /sales/7 HTTP/1.1\r\nHost: shop\r\nAuthorization: " + p.client(7) + "\r\n\r\n"
	p.do(t, p.cached) // From now on it is kept.
	return p
}

// do sends a request and reads its answer, which comes in one piece.
func (p *plain) do(t testing.TB, request string) {
	n := copy(p.buffer, request)
	if _, err := p.c.Write(p.buffer[:n]); err != nil {
		t.Fatal(err)
	}
	n, err := p.c.Read(p.buffer)
	if err != nil || !bytes.HasPrefix(p.buffer[:n], []byte("HTTP/1.1 200 ")) {
		t.Fatalf("%q, %v", p.buffer[:n], err)
	}
}

// BenchmarkPlain measures a request on a connection of its own, with both ends of it and
// an upstream in this process.
func BenchmarkPlain(b *testing.B) {
	p := newPlain(b)
	for name, request := range map[string]string{"cached": p.cached, "passed on": p.passedOn} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.do(b, request)
			}
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
