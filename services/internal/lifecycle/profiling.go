package lifecycle

import (
	"net/http"
	"net/http/pprof"
	"time"
)

// profileTimeout is above the longest profile that anyone takes.
const profileTimeout = 5 * time.Minute

// profiles are for `go tool pprof http://<metrics address>/debug/pprof/profile`.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
