package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/api"
	prometheusapi "github.com/prometheus/client_golang/api/prometheus/v1"
)

// fakePrometheus responds to each range query with two series of two pods, one of which has a
// value that is not a number. A query that contains broken fails.
func fakePrometheus(t *testing.T, broken string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/-/ready" {
			return
		}
		if query := r.FormValue("query"); regexp.MustCompile(`\$[a-z_]`).MatchString(query) || broken != "" && strings.Contains(query, broken) {
			http.Error(w, `{"status":"error","errorType":"bad_data","error":"no such query"}`, http.StatusBadRequest)
			return
		}
		start, err := strconv.ParseFloat(r.FormValue("start"), 64)
		end, endErr := strconv.ParseFloat(r.FormValue("end"), 64)
		step, stepErr := strconv.ParseFloat(r.FormValue("step"), 64)
		if err != nil || endErr != nil || stepErr != nil {
			t.Errorf("range %q to %q by %q", r.FormValue("start"), r.FormValue("end"), r.FormValue("step"))
		}
		var all []string
		for _, pod := range []string{"b", "a"} {
			var values []string
			for at := start; at <= end; at += step {
				v := strconv.FormatFloat(at-start, 'f', -1, 64)
				if pod == "a" && len(values) == 1 {
					v = "NaN"
				}
				values = append(values, fmt.Sprintf("[%f,%q]", at, v))
			}
			all = append(all, fmt.Sprintf(`{"metric":{"pod":%q},"values":[%s]}`, pod, strings.Join(values, ",")))
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, strings.Join(all, ","))
	}))
	t.Cleanup(s.Close)
	return s
}

func TestInputHasTheSeriesOfEveryQuery(t *testing.T) {
	t.Parallel()
	connection, err := api.NewClient(api.Config{Address: fakePrometheus(t, "").URL})
	if err != nil {
		t.Fatal(err)
	}
	c := renderCommand{Namespace: "shop", Stack: "demo", Range: 4 * time.Minute, Rate: time.Minute}
	for _, spec := range all {
		in, err := c.input(t.Context(), prometheusapi.NewAPI(connection), spec)
		if err != nil {
			t.Fatalf("%s: %v", spec.uid, err)
		}
		var queries, panels int
		for _, r := range spec.rows {
			for _, p := range r.panels {
				queries += len(p.queries)
			}
			panels += len(r.panels) + 1
		}
		var found int
		for _, p := range in.Panels {
			list, _ := p["series"].([]series)
			found += len(list)
		}
		if len(in.Panels) != panels || found != 2*queries {
			t.Errorf("%s: %d panels with %d series, want %d with %d", spec.uid, len(in.Panels), found, panels, 2*queries)
		}
	}
	got, err := c.series(t.Context(), prometheusapi.NewAPI(connection), query{"up{STACK}", "{{pod}} of {{ missing }}"}, time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "a of " || got[1].Name != "b of " || len(got[0].Values) != points+1 || got[0].Values[1] != nil || got[1].Values[1] == nil {
		t.Errorf("the series are %.500v, want those of a with a gap and of b", got)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]int64{1_799_999_760_000, 1_799_999_761_000}, got[0].Times[:2]); diff != "" {
		t.Errorf("the times differ (-want +got):\n%s", diff)
	}
}

func TestFailedQueryIsNamed(t *testing.T) {
	t.Parallel()
	connection, err := api.NewClient(api.Config{Address: fakePrometheus(t, "ecommerce_dead_letters").URL})
	if err != nil {
		t.Fatal(err)
	}
	c := renderCommand{Namespace: "shop", Stack: "demo", Range: 4 * time.Minute, Rate: time.Minute}
	if _, err = c.input(t.Context(), prometheusapi.NewAPI(connection), overview); err == nil || !strings.Contains(err.Error(), "Dead letters") {
		t.Errorf("got %v, want the name of the panel", err)
	}
}
