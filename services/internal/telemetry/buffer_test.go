package telemetry_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ecommerce-stack.dev/services/internal/telemetry"
)

// writes keeps what is written at once.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), nil
}

func (w *writes) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

func TestLinesAreWrittenTogetherAndSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w writes
		b := telemetry.NewBuffer(&w)
		log := telemetry.NewLogger(b, "test", slog.LevelInfo)
		log.Info("one")
		log.Info("two")
		if got := w.list(); len(got) != 0 {
			t.Errorf("written at once: %q", got)
		}
		time.Sleep(time.Second) // of the test's own clock
		synctest.Wait()
		if got := w.list(); len(got) != 1 || strings.Count(got[0], "\n") != 2 {
			t.Errorf("a second later: %q, want both lines at once", got)
		}
		log.Info("three")
		log.Warn("four")
		if got := w.list(); len(got) != 2 || !strings.Contains(got[1], "three") || !strings.Contains(got[1], "four") {
			t.Errorf("after a warning: %q, want it and what was before it", got)
		}
	})
}

func TestABufferIsBoundedAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	var w writes
	b := telemetry.NewBuffer(&w)
	line := func(c string, n int) []byte { return []byte(strings.Repeat(c, n-1) + "\n") }
	for _, l := range [][]byte{line("a", 20<<10), line("b", 20<<10), line("c", 100<<10), line("d", 10)} {
		if _, err := b.Write(l); err != nil {
			t.Fatal(err)
		}
	}
	b.Flush()
	got := w.list()
	if len(got) != 4 || got[0][0] != 'a' || got[1][0] != 'b' || got[2][0] != 'c' || got[3][0] != 'd' {
		t.Errorf("%d writes, want a, b, c and d in their order", len(got))
	}
}
