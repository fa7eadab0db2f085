package progress

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		420 * time.Millisecond:      "0.4s",
		12900 * time.Millisecond:    "12s",
		3*time.Minute + time.Second: "3m01s",
		130 * time.Minute:           "2h10m",
		98 * time.Hour:              "4d2h",
	} {
		if got := Short(d); got != want {
			t.Errorf("Short(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestRunMarksFailedStepAndReturnsError(t *testing.T) {
	var out bytes.Buffer
	p := &Printer{out: &out}
	failed := errors.New("no such thing")
	if err := p.Run("Do it", func(func(string)) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("Run returned %v, want %v", err, failed)
	}
	if got := out.String(); !strings.HasPrefix(got, "  ✗ Do it 0.0s") {
		t.Errorf("printed %q", got)
	}
}

func TestLineFitsTerminalWidth(t *testing.T) {
	s := &step{printer: &Printer{width: 30}, what: "Build", began: time.Now()}
	s.setDetail(strings.Repeat("x", 100))
	if n := len([]rune(s.line(3))); n >= 30 {
		t.Errorf("the line has %d columns of 30", n)
	}
}

// channel is a writer that sends what is written.
type channel chan string

func (c channel) Write(data []byte) (int, error) {
	c <- string(data)
	return len(data), nil
}

func TestLogHasLinesOfARunningStep(t *testing.T) {
	lines := make(channel)
	p, release := &Printer{out: lines, pace: time.Millisecond}, make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- p.Run("Build", func(detail func(string)) error {
			detail("3 of 7 packages")
			<-release
			return nil
		})
	}()
	for range 2 {
		if line := <-lines; !strings.HasPrefix(line, "  … Build 0.") {
			t.Errorf("printed %q", line)
		}
	}
	if line := <-lines; !strings.HasSuffix(line, "s · 3 of 7 packages\n") {
		t.Errorf("printed %q", line)
	}
	close(release)
	for line := range lines {
		if strings.HasPrefix(line, "  ✓ Build") {
			break
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestOutputStoresTheLastLines(t *testing.T) {
	var last string
	out := Lines(func(line string) { last = line })
	for range 30 {
		_, _ = out.Write([]byte("noise\n"))
	}
	_, _ = out.Write([]byte("first half, "))
	_, _ = out.Write([]byte("second half\nend"))
	if last != "first half, second half" {
		t.Errorf("last line %q", last)
	}
	if got := out.String(); !strings.HasSuffix(got, "noise\nfirst half, second half\nend") || strings.Count(got, "\n") != maxLines {
		t.Errorf("output %q", got)
	}
}
