package databasetest

import (
	"net/http"
	"testing"

	"ecommerce-stack.dev/services/internal/server/servertest"
)

// Handler returns a handler that calls h and records the statements of each operation in
// the OpenAPI document of h as the task named after the operation id. Requests must not
// be concurrent.
func (r *Recorder) Handler(t testing.TB, h http.Handler) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	r.operations = nil
	for _, o := range servertest.Operations(t, h) {
		r.operations = append(r.operations, o.ID)
		mux.HandleFunc(o.Method+" "+o.Path, func(w http.ResponseWriter, req *http.Request) {
			r.begin(o.ID)
			defer r.begin("")
			h.ServeHTTP(w, req)
		})
	}
	return mux
}
