package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzRequest sends any method, target, header and body: whatever a client sends, the
// gateway responds, never with a 5xx but 505, and forwards no identity of the client's
// making.
func FuzzRequest(f *testing.F) {
	g := start(f, setup{origins: []string{"https://shop.example.com"}})
	bearer := g.client(7)
	for _, seed := range [][3]string{
		{"GET", "/products/1?q=x&sort=name", "X-Forwarded-For: 10.0.0.1"},
		{"GET", "/products/x", "X-A: b"}, // forwarded without its body
		{"POST", "/sales", "Connection: X-User-Id"},
		{"PATCH", "/sales/1", "Transfer-Encoding: chunked"},
		{"OPTIONS", "/sales", "Origin: https://shop.example.com"},
		{"HEAD", "/products?cursor=%ff&limit=-1", "If-None-Match: W/\"x\", *"},
		{"DELETE", "//admin/../sales/%2e%2e/1?;", "Prefer: wait=\xff"},
		{"PUT", "/products\x00?limit=1&limit=2", "Accept-Encoding: gzip;q=0, *"},
		{"TRACE", "*", "Host: evil"},
		{"POST", "/auth/login", "Expect: 100-continue\r\nCookie: device=x; other=y"},
		{"GET", "http://u:p@x/sales", "X-User-Id: 1\r\nX-Auth-Role: Manager"},
	} {
		f.Add(seed[0], seed[1], seed[2], []byte(`{"items":[{"productId":1,"quantity":1}]}`))
	}
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n%s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			method, target, bearer, header, len(body), body)
		go func() {
			_, _ = io.WriteString(conn, request) // the server may refuse to read all of it
			_ = conn.(*net.TCPConn).CloseWrite()
		}()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || err != nil && strings.Contains(err.Error(), "reset") {
			return // It is no request.
		}
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		defer res.Body.Close()
		if res.StatusCode >= 500 && res.StatusCode != http.StatusHTTPVersionNotSupported {
			body, _ := io.ReadAll(res.Body)
			t.Errorf("%q: got %d %s", request, res.StatusCode, body)
		}
		for _, r := range g.up.take() {
			for name := range r.Header {
				if strings.HasPrefix(name, "X-User") || strings.HasPrefix(name, "X-Auth") {
					t.Errorf("%q: the service received %s", request, name)
				}
			}
		}
	})
}
