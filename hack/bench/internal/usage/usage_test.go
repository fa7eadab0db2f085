package usage

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func TestDescendants(t *testing.T) {
	tree := descendants(2, map[int]int{1: 0, 2: 1, 3: 2, 4: 3, 5: 1, 6: 3})
	slices.Sort(tree)
	if want := []int{3, 4, 6}; !slices.Equal(tree, want) {
		t.Errorf("%v, want %v", tree, want)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	before, err := OfTree(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.Resident < 1<<20 || before.Peak < before.Resident {
		t.Errorf("resident %d, peak %d bytes: want megabytes, and a higher peak", before.Resident, before.Peak)
	}
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		_ = slices.Repeat([]int{1}, 1000)
	}
	after, err := OfTree(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after.CPU - before.CPU; used <= 0 || used > time.Minute {
		t.Errorf("50 ms of work used %s, want about that much", used)
	}
}

var sink *[64]byte // forces a heap allocation

func TestObjectsCountsAllocations(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector())
	s := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer s.Close()
	count := func() float64 {
		n, err := Objects(t.Context(), s.URL)
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

func TestObjectsReturnsErrorWithoutMetric(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("other 1\n")) }))
	defer s.Close()
	if n, err := Objects(t.Context(), s.URL); err == nil || !strings.Contains(err.Error(), "/metrics") {
		t.Errorf("%v, %v; want an error that names the URL", n, err)
	}
}
