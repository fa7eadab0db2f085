package telemetry

import (
	"io"
	"os"
	"sync"
	"time"
)

// Bounds of what waits in a Buffer, in bytes and time.
const (
	bufferSize = 32 << 10
	bufferTime = 100 * time.Millisecond
)

// Buffer gathers log lines and writes them together: a line of its own for each of
// thousands of requests a second costs more than the rest of its log. What a crash can
// lose is a tenth of a second; a logger writes warnings and errors at once, with all
// that was before them. It is safe for concurrent use.
type Buffer struct {
	w io.Writer

	mu    sync.Mutex
	lines []byte
	timer *time.Timer
}

// NewBuffer returns a buffer before w.
func NewBuffer(w io.Writer) *Buffer { return &Buffer{w: w, lines: make([]byte, 0, bufferSize)} }

// Stdout is the buffer that the services log to. Whoever ends the process flushes it.
var Stdout = NewBuffer(os.Stdout)

// Write implements io.Writer; it takes whole lines.
func (b *Buffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines)+len(line) > bufferSize {
		if err := b.flush(); err != nil {
			return 0, err
		}
	}
	if len(line) > bufferSize {
		return b.w.Write(line)
	}
	if b.lines = append(b.lines, line...); b.timer == nil {
		b.timer = time.AfterFunc(bufferTime, b.Flush)
	}
	return len(line), nil
}

// Flush writes what waits. An error is left to the next Write: nobody who logs could do
// anything about it.
func (b *Buffer) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.flush()
}

func (b *Buffer) flush() error {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if len(b.lines) == 0 {
		return nil
	}
	_, err := b.w.Write(b.lines)
	b.lines = b.lines[:0]
	return err
}
