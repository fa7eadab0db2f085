package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/services/internal/telemetry"
)

func TestRequestLineEqualsLineOfLogger(t *testing.T) {
	t.Parallel()
	read := func(out bytes.Buffer) map[string]any {
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatalf("%v in %s", err, out.String())
		}
		delete(line, "time")
		return line
	}
	for _, r := range []telemetry.Request{
		{Method: "GET", Route: "/sales/{id}", Path: "/sales/7", Status: 200, Bytes: 12, Took: 1234 * time.Microsecond, Client: "10.0.0.1:99", UserID: 7,
			RequestID: "req-1", TraceParent: parent},
		{Method: "POST", Route: "unmatched", Path: "/\"\\\n\u00e9\xff\x7f", Status: 404, Client: "[::1]:1",
			Took: 3 * time.Hour, RequestID: "req-1", TraceParent: parent},
		{Took: 1}, {Took: -1500 * time.Millisecond}, {Took: time.Second - 1}, {Took: math.MaxInt64},
	} {
		var byHand, byLogger bytes.Buffer
		telemetry.NewRequestLog(telemetry.NewLogger(&byHand, "auth", slog.LevelInfo)).Log(slog.LevelInfo, r)
		// A logger with attributes of its own takes the long way.
		telemetry.NewRequestLog(telemetry.NewLogger(&byLogger, "auth", slog.LevelInfo).With("own", 1)).Log(slog.LevelInfo, r)
		want := read(byLogger)
		delete(want, "own")
		if diff := cmp.Diff(want, read(byHand)); diff != "" {
			t.Errorf("%q (-logger +by hand):\n%s", r.Path, diff)
		}
	}
	var out bytes.Buffer
	telemetry.NewRequestLog(telemetry.NewLogger(&out, "auth", slog.LevelInfo)).Log(slog.LevelDebug, telemetry.Request{})
	if out.Len() > 0 {
		t.Errorf("a level that is off was logged: %s", out.String())
	}
}
