package edge_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzServeHTTP sends any method, URL, header and body: whatever a client sends, the
// gateway answers, never with a 5xx, and passes no identity of its making on.
func FuzzServeHTTP(f *testing.F) {
	g := start(f, setup{origins: []string{"https://shop.example.com"}})
	bearer := g.client(7)
	for _, seed := range [][4]string{
		{"GET", "/products/1", "q=x&sort=name", "X-Forwarded-For: 10.0.0.1"},
		{"POST", "/sales", "", "Connection: X-User-Id"},
		{"PATCH", "/sales/1", "", "Transfer-Encoding: chunked"},
		{"OPTIONS", "/sales", "", "Origin: https://shop.example.com"},
		{"HEAD", "/products", "cursor=%ff&limit=-1", "If-None-Match: W/\"x\", *"},
		{"DELETE", "//admin/../sales/%2e%2e/1", ";", "Prefer: wait=\xff"},
		{"PUT", "/products\x00", "limit=1&limit=2", "Accept-Encoding: gzip;q=0, *"},
		{"TRACE", "*", "", "Host: evil"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], []byte(`{"items":[{"productId":1,"quantity":1}]}`))
	}
	f.Fuzz(func(t *testing.T, method, path, query, header string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Method, r.URL = strings.ToUpper(method), &url.URL{Path: path, RawQuery: query}
		name, value, _ := strings.Cut(header, ": ")
		if !utf8.ValidString(name) || strings.ContainsAny(header, "\r\n\x00") {
			return // The server would not have read it.
		}
		r.Header.Set("Authorization", bearer)
		r.Header.Set(name, value)
		rec := httptest.NewRecorder()
		g.srv.Handler().ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Errorf("%s %s with %q answers %d %s", r.Method, r.URL, header, rec.Code, rec.Body)
		}
	})
}
