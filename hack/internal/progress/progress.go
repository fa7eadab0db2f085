// Package progress prints the steps of a long command with their elapsed time.
//
// On a terminal it redraws the line of the running step. Otherwise it prints a
// line when a step ends, and others while it runs: after a few seconds and then
// twice a minute.
package progress

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Printer prints steps, one at a time. It is not safe for concurrent use.
type Printer struct {
	out      io.Writer
	terminal bool
	width    int
	began    time.Time
	pace     time.Duration // replaces announceAfter and announceEvery in tests
}

func (p *Printer) first() time.Duration { return cmp.Or(p.pace, announceAfter) }
func (p *Printer) every() time.Duration { return cmp.Or(p.pace, announceEvery) }

// New returns a printer that writes to the file.
func New(out *os.File) *Printer {
	p := &Printer{out: out, began: time.Now(), width: 80}
	if fd := int(out.Fd()); term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		p.terminal = true
		if width, _, err := term.GetSize(fd); err == nil && width > 20 {
			p.width = width
		}
	}
	return p
}

// Printf prints a line between steps.
func (p *Printer) Printf(format string, args ...any) {
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Elapsed returns the time since the printer was created.
func (p *Printer) Elapsed() time.Duration { return time.Since(p.began) }

// Run prints what, the name of a step, while it calls do, and returns the error of
// do. do may call detail to show the progress of the step.
func (p *Printer) Run(what string, do func(detail func(string)) error) error {
	step := &step{printer: p, what: what, began: time.Now()}
	stop := step.show()
	err := do(step.setDetail)
	stop()
	mark := "✓"
	if err != nil {
		mark = "✗"
	}
	fmt.Fprintf(p.out, "  %s %s %s\n", mark, what, Short(time.Since(step.began)))
	return err
}

type step struct {
	printer *Printer
	what    string
	began   time.Time
	mu      sync.Mutex
	detail  string
}

func (s *step) setDetail(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detail = strings.TrimSpace(text)
}

// When a running step is printed if the output is not a terminal.
const (
	announceAfter = 5 * time.Second
	announceEvery = 30 * time.Second
)

// show starts to redraw the line of the step, or to print it now and then. The
// returned function stops that and clears the line.
func (s *step) show() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	period := 120 * time.Millisecond
	if !s.printer.terminal {
		period = s.printer.first()
	}
	go func() {
		defer close(ended)
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		for frame := 0; ; frame++ {
			select {
			case <-done:
				if s.printer.terminal {
					fmt.Fprint(s.printer.out, "\r\x1b[K")
				}
				return
			case <-ticker.C:
				if s.printer.terminal {
					fmt.Fprint(s.printer.out, "\r\x1b[K", s.line(frame))
					continue
				}
				fmt.Fprintf(s.printer.out, "  … %s\n", s.text())
				ticker.Reset(s.printer.every())
			}
		}
	}()
	return func() { close(done); <-ended }
}

var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// text returns the name of the step with its elapsed time and its detail.
func (s *step) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.what + " " + Short(time.Since(s.began))
	if s.detail != "" {
		text += " · " + s.detail
	}
	return text
}

func (s *step) line(frame int) string {
	text := fmt.Sprintf("  %c %s", spinner[frame%len(spinner)], s.text())
	if runes := []rune(text); len(runes) >= s.printer.width {
		text = string(runes[:s.printer.width-2]) + "…"
	}
	return text
}

// Short formats a duration with at most two units: 0.4s, 12s, 3m05s, 2h10m, 4d2h.
func Short(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
