package lifecycle

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/telemetry"
)

func TestProfilingIsServedOnlyIfEnabled(t *testing.T) {
	t.Parallel()
	for _, enabled := range []bool{false, true} {
		s := New(Options{Config: Config{Profiling: enabled}, Log: slog.New(slog.DiscardHandler),
			Metrics: telemetry.NewRegistry("test"), Health: health.New()})
		rec := httptest.NewRecorder()
		s.metricsServer().Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/debug/pprof/", nil))
		want := http.StatusNotFound
		if enabled {
			want = http.StatusOK
		}
		if rec.Code != want {
			t.Errorf("profiling %v: got %d, want %d", enabled, rec.Code, want)
		}
	}
}
