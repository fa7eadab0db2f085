package heap

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var sink *[64]byte // forces a heap allocation

func TestAllocatedCountsObjects(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector())
	s := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer s.Close()
	count := func() float64 {
		n, err := Allocated(t.Context(), s.URL)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const allocations = 200_000
	before := count()
	for range allocations {
		sink = new([64]byte)
	}
	if got := count() - before; got < allocations || got > 1.5*allocations {
		t.Errorf("counted %.0f allocations, want %d", got, allocations)
	}
}

func TestAllocatedReturnsErrors(t *testing.T) {
	for what, h := range map[string]http.HandlerFunc{
		"no metric": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("other 1\n")) },
		"no text":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
		"not found": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
	} {
		s := httptest.NewServer(h)
		if n, err := Allocated(t.Context(), s.URL); err == nil || !strings.Contains(err.Error(), "/metrics") {
			t.Errorf("%s: %v, %v; want an error that names the URL", what, n, err)
		}
		s.Close()
	}
}
