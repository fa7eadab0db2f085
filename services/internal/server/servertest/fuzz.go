package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"
)

// Bounds of one request of Fuzz: how long it may hold an answer back, as waits and
// streams do, and how much memory it may take.
const (
	fuzzPatience = 250 * time.Millisecond
	fuzzMemory   = 16 << 20
)

// Fuzz sends the operations of a service's document whatever the fuzzer makes up, as
// nobody and as each of the bearers. No request may cause a 5xx or an answer that is
// no JSON, nor take more than 16 MiB.
func Fuzz(f *testing.F, h http.Handler, bearers ...string) {
	f.Helper()
	operations := documented(f, h)
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
		ctx, cancel := context.WithTimeout(t.Context(), fuzzPatience)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, o.method, "/", bytes.NewReader(body))
		r.URL = &url.URL{Path: o.at(path), RawQuery: query}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", bearers[int(bearer)%len(bearers)])
		for _, name := range o.headers {
			r.Header.Set(name, header)
		}
		before := allocated()
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if took := allocated() - before; took > fuzzMemory {
			t.Errorf("%s %s takes %d bytes of memory", o.method, r.URL, took)
		}
		if ctx.Err() == nil {
			check(t, r, rec)
		}
	})
}

func check(t *testing.T, r *http.Request, rec *httptest.ResponseRecorder) {
	t.Helper()
	if rec.Code >= 500 {
		t.Errorf("%s %q answers %d %s", r.Method, r.URL, rec.Code, rec.Body)
	}
	kind := rec.Header().Get("Content-Type")
	if rec.Code != http.StatusNotModified && strings.HasSuffix(kind, "json") && !json.Valid(rec.Body.Bytes()) {
		t.Errorf("%s %q answers with what is no JSON: %s", r.Method, r.URL, rec.Body)
	}
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// operation of a document.
type operation struct {
	method, path string
	headers      []string
	example      []byte
}

// at puts the segments of text in place of the path's parameters.
func (o operation) at(text string) string {
	segments := strings.Split(o.path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i], text, _ = strings.Cut(text, "/")
		}
	}
	return strings.Join(segments, "/")
}

func documented(f *testing.F, h http.Handler) []operation {
	f.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(f.Context(), http.MethodGet, "/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]struct {
			Parameters  []struct{ Name, In string }
			RequestBody struct {
				Content map[string]struct{ Example json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &document); err != nil {
		f.Fatal(err)
	}
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(document.Paths[path])) {
			described := document.Paths[path][method]
			o := operation{method: strings.ToUpper(method), path: path, example: described.RequestBody.Content["application/json"].Example}
			for _, p := range described.Parameters {
				if p.In == "header" {
					o.headers = append(o.headers, p.Name)
				}
			}
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		f.Fatal("the document has no operation")
	}
	return all
}
