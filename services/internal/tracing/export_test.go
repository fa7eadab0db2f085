package tracing

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestWarningsAreLimitedToOneAMinute(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	now := time.Now()
	w := &warnings{log: slog.New(slog.NewTextHandler(&log, nil)), export: newExport(prometheus.NewRegistry()), now: func() time.Time { return now }}
	fail := func(n int) {
		for range n {
			w.lose(resultFailed, 2)
			w.Handle(errors.New("connection refused"))
		}
	}
	fail(5)
	now = now.Add(warningInterval - time.Second)
	fail(1)
	if got := strings.Count(log.String(), "\n"); got != 1 {
		t.Errorf("%d warnings within a minute: %s", got, &log)
	}
	log.Reset()
	now = now.Add(time.Second)
	fail(1)
	if got := log.String(); !strings.Contains(got, "suppressedWarnings=5") || !strings.Contains(got, "lostSpans=12") {
		t.Errorf("the second warning: %s", got)
	}
}

func TestWarningsAreShort(t *testing.T) {
	t.Parallel()
	w := &warnings{secrets: []string{"", "hidden"}}
	if got := w.clean("a hidden b " + strings.Repeat("x", 10_000)); len(got) != maxWarning || !strings.HasPrefix(got, "a [redacted] b ") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
