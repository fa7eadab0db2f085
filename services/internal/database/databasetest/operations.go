package databasetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Handler returns a handler that calls h and records the statements of each operation in
// the OpenAPI document of h as the task named after the operation id. Requests must not
// be concurrent.
func (r *Recorder) Handler(t testing.TB, h http.Handler) http.Handler {
	t.Helper()
	operations, err := documentedOperations(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	r.operations = slices.Sorted(maps.Keys(operations))
	mux := http.NewServeMux()
	for id, pattern := range operations {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			r.begin(id)
			defer r.begin("")
			h.ServeHTTP(w, req)
		})
	}
	return mux
}

// documentedOperations returns the operations in the OpenAPI document of h: their ids,
// and their patterns for http.ServeMux.
func documentedOperations(ctx context.Context, h http.Handler) (map[string]string, error) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &document); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	operations := map[string]string{}
	for path, methods := range document.Paths {
		for method, operation := range methods {
			operations[operation.OperationID] = strings.ToUpper(method) + " " + path
		}
	}
	if len(operations) == 0 {
		return nil, errors.New("the OpenAPI document has no operation")
	}
	return operations, nil
}
