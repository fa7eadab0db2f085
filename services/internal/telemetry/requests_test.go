package telemetry_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"ecommerce-stack.dev/services/internal/telemetry"
)

// families returns the metrics of a registry by name.
func families(t *testing.T, reg *prometheus.Registry) map[string][]*dto.Metric {
	t.Helper()
	gathered, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*dto.Metric{}
	for _, f := range gathered {
		all[f.GetName()] = f.GetMetric()
	}
	return all
}

// handled records a request that took 3 ms and ended at a time.
func handled(r *telemetry.Requests, at time.Time, traceParent string, long bool) {
	r.Begin()
	r.End(telemetry.Request{Method: "POST", Route: "/sales", Status: 201, Took: 3 * time.Millisecond, At: at, TraceParent: traceParent, Long: long})
}

func TestLongRequestsHaveTheirOwnDurations(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	r := telemetry.NewRequests(slog.New(slog.DiscardHandler), reg)
	for _, long := range []bool{false, true, true} {
		handled(r, time.Now(), parent, long)
	}
	got := families(t, reg)
	for name, want := range map[string]uint64{"http_request_duration_seconds": 1, "http_long_request_duration_seconds": 2} {
		if series := got[name]; len(series) != 1 || series[0].GetHistogram().GetSampleCount() != want {
			t.Errorf("%s: %v, want %d observations", name, series, want)
		} else if series[0].GetHistogram().GetSchema() == 0 || len(series[0].GetHistogram().GetPositiveSpan()) == 0 {
			t.Errorf("%s has no native buckets", name)
		}
	}
	if total := got["http_requests_total"]; len(total) != 1 || total[0].GetCounter().GetValue() != 3 {
		t.Errorf("http_requests_total: %v, want one series with 3", total)
	}
	if n := got["http_requests_in_flight"][0].GetGauge().GetValue(); n != 0 {
		t.Errorf("%v requests in flight, want 0", n)
	}
}

func TestExemplarsAreOfSampledTracesAndRare(t *testing.T) {
	t.Parallel()
	trace := func(digit, flags string) string {
		return "00-" + strings.Repeat(digit, 32) + "-b7ad6b7169203331-" + flags
	}
	began := time.Unix(1_800_000_000, 0)
	reg := prometheus.NewRegistry()
	r := telemetry.NewRequests(slog.New(slog.DiscardHandler), reg)
	for _, c := range []struct {
		at          time.Time
		traceParent string
		want        string // digit of the trace of the exemplar
	}{
		{began, "", ""},
		{began, trace("1", "00"), ""},
		{began, trace("2", "01"), "2"},
		{began.Add(999 * time.Millisecond), trace("3", "01"), "2"},
		{began.Add(time.Second), trace("4", "03"), "4"},
		{began.Add(2 * time.Second), trace("5", "02"), "4"},
		{began.Add(-time.Hour), trace("6", "01"), "6"}, // The clock was set back.
	} {
		handled(r, c.at, c.traceParent, false)
		var got string
		for _, b := range families(t, reg)["http_request_duration_seconds"][0].GetHistogram().GetBucket() {
			for _, l := range b.GetExemplar().GetLabel() {
				if l.GetName() == "trace_id" {
					got = l.GetValue()[:1]
				}
			}
		}
		if got != c.want {
			t.Errorf("after %s at %s: the exemplar is of trace %q, want %q", c.traceParent, c.at, got, c.want)
		}
	}
	scrape := httptest.NewRequest("GET", "/metrics", nil)
	scrape.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	rec := httptest.NewRecorder()
	telemetry.MetricsHandler(reg).ServeHTTP(rec, scrape)
	if want := `# {trace_id="` + strings.Repeat("6", 32) + `"} 0.003`; !strings.Contains(rec.Body.String(), want) {
		t.Errorf("the scrape has no %q", want)
	}
}

func TestLevelIsSetFromLoopbackOnly(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, "test", slog.LevelInfo)
	h := telemetry.LevelHandler(log)
	call := func(method, from, body string) (int, string) {
		r := httptest.NewRequest(method, "/log-level", strings.NewReader(body))
		r.RemoteAddr = from
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		response, err := io.ReadAll(rec.Body)
		if err != nil {
			t.Fatal(err)
		}
		return rec.Code, strings.TrimSpace(string(response))
	}
	for _, c := range []struct {
		method, from, body string
		code               int
		response           string // its beginning
		level              string // after it
	}{
		{"GET", "10.1.2.3:4", "", 200, "info", "info"},
		{"PUT", "10.1.2.3:4", "debug", 403, "the level can be set only from the loopback", "info"},
		{"PUT", "[2001:db8::1]:4", "debug", 403, "the level can be set only from the loopback", "info"},
		{"PUT", "@", "debug", 403, "the level can be set only from the loopback", "info"},
		{"PUT", "[::ffff:10.1.2.3]:4", "debug", 403, "the level can be set only from the loopback", "info"},
		{"PUT", "127.0.0.1:4", "debug\n", 200, "debug", "debug"},
		{"PUT", "[::1]:4", "error", 200, "error", "error"},
		{"PUT", "[::ffff:127.0.0.1]:4", "warn", 200, "warn", "warn"},
		{"PUT", "127.0.0.1:4", "", 400, `the level "" is not debug, info, warn or error`, "warn"},
		{"PUT", "127.0.0.1:4", "INFO+2", 400, `the level "INFO+2" is not`, "warn"},
		{"PUT", "127.0.0.1:4", strings.Repeat("debug", 1000), 400, "the level", "warn"},
	} {
		code, response := call(c.method, c.from, c.body)
		if _, level := call("GET", "127.0.0.1:1", ""); code != c.code || !strings.HasPrefix(response, c.response) || level != c.level {
			t.Errorf("%s from %s with %.10q: %d %q, then %s; want %d %q, then %s", c.method, c.from, c.body, code, response, level, c.code, c.response, c.level)
		}
	}
	out.Reset()
	requests := telemetry.NewRequests(log, prometheus.NewRegistry())
	for level, want := range map[string]int{"debug": 3, "info": 2, "warn": 1} { // with the line about the level
		call("PUT", "127.0.0.1:1", level)
		out.Reset()
		call("PUT", "127.0.0.1:1", level)
		handled(requests, time.Time{}, "", false)
		log.With("queue", "q").Debug("detail")
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("level %s: %d lines, want %d:\n%s", level, got, want, out.String())
		}
	}
}
