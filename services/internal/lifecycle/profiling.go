package lifecycle

import (
	"net/http"
	"net/http/pprof"
	"time"
)

// profileTimeout is the write timeout with profiling, which limits the duration of a profile.
const profileTimeout = 5 * time.Minute

// registerProfiling adds the handlers for `go tool pprof http://<metrics address>/debug/pprof/profile`.
func registerProfiling(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
