package telemetry_test

import (
	"errors"
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

func TestBufferIsBoundedAndPreservesOrder(t *testing.T) {
	t.Parallel()
	var w writes
	b := telemetry.NewBuffer(&w)
	var want strings.Builder
	for i := range 200 {
		line := strings.Repeat(string(rune('a'+i%26)), []int{10, 5 << 10, 100 << 10, 300 << 10}[i%4]) + "\n"
		want.WriteString(line)
		if n, err := b.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	b.Flush()
	if got := strings.Join(w.list(), ""); got != want.String() {
		t.Errorf("%d bytes are not the %d that were logged", len(got), want.Len())
	}
	for _, one := range w.list() {
		if len(one) > 256<<10 && strings.Count(one, "\n") > 1 {
			t.Errorf("%d bytes waited", len(one))
		}
	}
}

func TestManyLinesAreWrittenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w writes
		b, began := telemetry.NewBuffer(&w), time.Now()
		for range 40 {
			if _, err := b.Write([]byte(strings.Repeat("x", 1023) + "\n")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Nanosecond) // of the test's own clock
		synctest.Wait()
		if len(w.list()) == 0 {
			t.Errorf("40 KiB wait after %s", time.Since(began))
		}
		b.Flush()
	})
}

// stuck takes nothing until it is let go.
type stuck struct {
	writes
	goOn chan struct{}
}

func (w *stuck) Write(p []byte) (int, error) {
	<-w.goOn
	return w.writes.Write(p)
}

func TestWriteDoesNotWaitForRunningFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &stuck{goOn: make(chan struct{})}
		b := telemetry.NewBuffer(w)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		began, logged := time.Now(), make(chan int)
		go func() {
			for i := range 1000 {
				if _, err := b.Write(line); err != nil {
					t.Error(err)
				}
				if i == 200 {
					logged <- i
				}
			}
			close(logged)
		}()
		<-logged
		if took := time.Since(began); took > 0 { // by the test's own clock
			t.Errorf("200 lines took %s while nothing was written", took)
		}
		synctest.Wait()
		select {
		case <-logged:
			t.Error("a megabyte waits in memory")
		default:
		}
		close(w.goOn)
		<-logged
		b.Flush()
		if got := len(strings.Join(w.list(), "")); got != 1000*len(line) {
			t.Errorf("%d bytes are written, want %d", got, 1000*len(line))
		}
	})
}

func TestWriteErrorIsReturnedOnce(t *testing.T) {
	t.Parallel()
	b := telemetry.NewBuffer(broken{})
	if _, err := b.Write([]byte("one\n")); err != nil {
		t.Error(err)
	}
	b.Flush()
	if _, err := b.Write([]byte("two\n")); err == nil {
		t.Error("a line was lost without an error")
	}
	if _, err := b.Write([]byte("three\n")); err != nil {
		t.Errorf("the error is returned again: %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }
