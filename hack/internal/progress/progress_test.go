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
