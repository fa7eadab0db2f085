package servertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Operation is an operation in an OpenAPI document.
type Operation struct {
	ID, Method, Path string

	headers []string
	example []byte
}

// pathWith returns the path with the segments of text in place of its parameters.
func (o Operation) pathWith(text string) string {
	segments := strings.Split(o.Path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i], text, _ = strings.Cut(text, "/")
		}
	}
	return strings.Join(segments, "/")
}

// Operations returns the operations in the OpenAPI document of h, sorted by path and method. It
// fails the test if there are none.
func Operations(t testing.TB, h http.Handler) []Operation {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string
			Parameters  []struct{ Name, In string }
			RequestBody struct {
				Content map[string]struct{ Example json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &document); err != nil {
		t.Fatalf("read the OpenAPI document: %v", err)
	}
	var all []Operation
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(document.Paths[path])) {
			op := document.Paths[path][method]
			o := Operation{ID: op.OperationID, Method: strings.ToUpper(method), Path: path,
				example: op.RequestBody.Content["application/json"].Example}
			for _, p := range op.Parameters {
				if p.In == "header" {
					o.headers = append(o.headers, p.Name)
				}
			}
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		t.Fatal("the OpenAPI document has no operation")
	}
	return all
}
