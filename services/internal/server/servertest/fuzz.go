package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
)

// Limits of a request of Fuzz: its timeout, which ends long waits and streams, and the memory that it
// may allocate, in bytes.
const (
	fuzzTimeout = 250 * time.Millisecond
	fuzzMemory  = 16 << 20
)

// Fuzz is a fuzz test of all operations in the OpenAPI document of h, without a token and with each of
// bearers. A request fails the test if its response is a 5xx or has invalid JSON, or if it allocates
// more than 16 MiB.
func Fuzz(f *testing.F, h http.Handler, bearers ...string) {
	f.Helper()
	operations := Operations(f, h)
	bearers = append(bearers, "")
	for i, o := range operations {
		for j := range bearers {
			f.Add(uint8(i), uint8(j), "1/2", "limit=2&cursor=x", `"1"`, o.example)
		}
		f.Add(uint8(i), uint8(0), "9223372036854775808", "limit=201&sort=%ff", "wait=30", []byte(`{"a":[[1e999]]}`))
		f.Add(uint8(i), uint8(0), "%2f../\x00", "limit=&limit=;", strings.Repeat("k", 256), []byte(`{"email":`))
	}
	f.Fuzz(func(t *testing.T, operation, bearer uint8, path, query, header string, body []byte) {
		o := operations[int(operation)%len(operations)]
		ctx, cancel := context.WithTimeout(t.Context(), fuzzTimeout)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, o.Method, "/", bytes.NewReader(body))
		r.URL = &url.URL{Path: o.pathWith(path), RawQuery: query}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", bearers[int(bearer)%len(bearers)])
		for _, name := range o.headers {
			r.Header.Set(name, header)
		}
		before := allocated()
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if took := allocated() - before; took > fuzzMemory {
			t.Errorf("%s %s allocates %d bytes", o.Method, r.URL, took)
		}
		if ctx.Err() == nil {
			checkResponse(t, r, rec)
		}
	})
}

func checkResponse(t *testing.T, r *http.Request, rec *httptest.ResponseRecorder) {
	t.Helper()
	if rec.Code >= 500 {
		t.Errorf("%s %q: response %d %s", r.Method, r.URL, rec.Code, rec.Body)
	}
	kind := rec.Header().Get("Content-Type")
	if rec.Code != http.StatusNotModified && strings.HasSuffix(kind, "json") && !json.Valid(rec.Body.Bytes()) {
		t.Errorf("%s %q: invalid JSON %s", r.Method, r.URL, rec.Body)
	}
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
