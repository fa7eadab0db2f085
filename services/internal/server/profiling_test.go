package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/telemetry"
)

func TestProfilesAreServedOnlyWhenAskedForAndNeverWithRequests(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		s := New(Options{Name: "test", Config: Config{Profiling: on}, Log: slog.New(slog.DiscardHandler),
			Metrics: telemetry.NewRegistry("test"), Health: health.New()})
		ask := func(h http.Handler) int {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/debug/pprof/", nil))
			return rec.Code
		}
		want := http.StatusNotFound
		if on {
			want = http.StatusOK
		}
		if got := ask(s.metricsServer().Handler); got != want {
			t.Errorf("profiling %v: %d beside the metrics, want %d", on, got, want)
		}
		if got := ask(s.Handler()); got != http.StatusNotFound {
			t.Errorf("profiling %v: %d with the requests, want 404", on, got)
		}
	}
}
