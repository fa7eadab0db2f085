//go:build !race

// The race detector allocates, too.

package gateway_test

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv/otlp"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/limit"
	"ecommerce-stack.dev/services/internal/tracing/tracingtest"
)

// constant is an upstream that responds to everything with the same bytes, and allocates
// nothing for that.
func constant(t testing.TB, response string) (url string) {
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
				in, out := make([]byte, 16<<10), []byte(response)
				for {
					if _, err := c.Read(in); err != nil { // A small request arrives at once.
						return
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

const body = `{"id":7}`

// requests are what most clients send.
func (g *fixture) requests() map[string][]byte {
	head := " HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\nAccept: application/json\r\n"
	return map[string][]byte{
		"cached":    []byte("GET /products/7" + head + "\r\n"),
		"forwarded": []byte("GET /sales/7" + head + "Authorization: " + g.client(7) + "\r\n\r\n"),
	}
}

func startConstant(t testing.TB) *fixture {
	t.Helper()
	response := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	return start(t, setup{upstream: constant(t, response), limits: map[string]*limit.Limiter{route.LimitDefault: limit.New(1e9, time.Second, 1e6)}})
}

// TestRequestAllocationsStayWithinBudget counts what a request allocates in the gateway. A change
// that goes above a budget makes every request more expensive; raise it only knowingly.
// The test is not parallel: what others allocate would count.
func TestRequestAllocationsStayWithinBudget(t *testing.T) { //nolint:paralleltest // see above
	g := startConstant(t)
	w, requests := g.wire(), g.requests()
	for name, budget := range map[string]float64{"cached": 6, "forwarded": 4} {
		if got := testing.AllocsPerRun(500, func() { w.do(t, requests[name], []byte(body)) }); got > budget {
			t.Errorf("%s: %.1f allocations a request, the budget is %.0f", name, got, budget)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	g := startConstant(b)
	w := g.wire()
	for name, request := range g.requests() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.do(b, request, []byte(body))
			}
		})
	}
}

// TestCachedResponseIsNotCopiedPerClient has clients that read slowly.
func TestCachedResponseIsNotCopiedPerClient(t *testing.T) { //nolint:paralleltest // what others allocate would count
	const size, clients = 200 << 10, 40
	large := `{"name":"` + strings.Repeat("x", size) + `"}`
	g := start(t, setup{})
	g.up.respondWith(text(large))
	g.do("GET", "/products/7", "")
	used := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := used()
	for range clients {
		w := g.wire()
		if _, err := io.WriteString(w, "GET /products/7 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReaderSize(w, 16).ReadString('\n'); err != nil { // The response has begun.
			t.Fatal(err)
		}
	}
	if grown := used() - before; grown > clients*size/2 {
		t.Errorf("%d clients of a cached response of %d KiB take %d KiB more", clients, size>>10, grown>>10)
	}
}

// BenchmarkTracedRequest is BenchmarkRequest with each request recorded, and with none.
func BenchmarkTracedRequest(b *testing.B) {
	for _, share := range []string{"0", "1"} {
		receiver := otlp.Start(b)
		receiver.SetMode(otlp.Discard)
		tracingtest.Start(b, receiver.URL, true, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG="+share)
		g := startConstant(b)
		w := g.wire()
		for name, request := range g.requests() {
			b.Run("ratio="+share+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					w.do(b, request, []byte(body))
				}
			})
		}
	}
}
