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

var kept *[64]byte // so that it is on the heap

func TestWhatAProgramAllocatesIsCounted(t *testing.T) {
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
	const many = 200_000
	before := count()
	for range many {
		kept = new([64]byte)
	}
	if got := count() - before; got < many || got > 1.5*many {
		t.Errorf("%.0f allocations are counted, there were %d", got, many)
	}
}

func TestAProgramThatDoesNotSayWhatItAllocatesIsAnError(t *testing.T) {
	for what, h := range map[string]http.HandlerFunc{
		"no metric": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("other 1\n")) },
		"no text":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
		"refused":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
	} {
		s := httptest.NewServer(h)
		if n, err := Allocated(t.Context(), s.URL); err == nil || !strings.Contains(err.Error(), "/metrics") {
			t.Errorf("%s: %v, %v; want an error that names the place", what, n, err)
		}
		s.Close()
	}
}
