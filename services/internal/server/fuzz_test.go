package server_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/lifecycle"
)

// FuzzRequest sends random bodies, content types, queries and paths to operations. The response must
// not be a 5xx.
func FuzzRequest(f *testing.F) {
	fixture := newServer(f, lifecycle.Config{}, health.New())
	srv, keys := fixture.srv, fixture.keys
	register(srv.API())
	manager := keys.Bearer(f, 7, authn.Manager)
	f.Add([]byte(`{"name":"a","price":"1.99","lines":[{"productId":1,"quantity":2}]}`), "application/json", "limit=2", "1")
	f.Add([]byte(`{"name":null,"price":1e400,"lines":[[]]}`), "application/problem+json", "cursor=eyJ2IjoxfQ", "-1")
	f.Add([]byte(strings.Repeat(`{"a":`, 100)), "text/plain", "limit=%ff", "%2f")
	f.Add([]byte(`[1e1000000000,"\ud800"]`), "application/json;charset=", "limit=1&limit=x;y", "9223372036854775808")
	f.Fuzz(func(t *testing.T, body []byte, contentType, query, id string) {
		for _, r := range []*http.Request{
			httptest.NewRequest(http.MethodPost, "/things", bytes.NewReader(body)),
			httptest.NewRequest(http.MethodGet, "/things", nil),
			httptest.NewRequest(http.MethodGet, "/things/1", nil),
		} {
			r.Header.Set("Authorization", manager)
			r.Header.Set("Content-Type", contentType)
			r.URL.RawQuery = query
			if r.URL.Path == "/things/1" && !failsIntentionally(id) {
				r.URL = &url.URL{Path: "/things/" + id}
			}
			rec := httptest.NewRecorder()
			srv.Handler().ServeHTTP(rec, r)
			if rec.Code >= 500 {
				t.Fatalf("%s %s: response %d %s", r.Method, r.URL, rec.Code, rec.Body)
			}
		}
	})
}

// failsIntentionally reports whether the test operation returns a 5xx for an id.
func failsIntentionally(id string) bool {
	for _, s := range []string{"500", "503", "504", "999"} {
		if strings.Contains(id, s) {
			return true
		}
	}
	return false
}
