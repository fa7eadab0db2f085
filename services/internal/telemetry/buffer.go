package telemetry

import (
	"io"
	"os"
	"sync"
	"time"
)

// Bounds of a Buffer, in bytes and time. Above bufferSize the lines are written by a
// background goroutine. A caller blocks only if bufferMost would be exceeded, because the
// reader of the output does not keep up.
const (
	bufferSize = 32 << 10
	bufferMost = 8 * bufferSize
	bufferTime = 100 * time.Millisecond
)

// Buffer collects log lines and writes them together: one write for each of thousands of
// requests a second would cost more than the rest of logging. A crash can lose the lines of
// bufferTime; a logger flushes the buffer after a warning or an error. It is safe for
// concurrent use.
type Buffer struct {
	w io.Writer

	writing sync.Mutex // held while lines are written, before mu
	spare   []byte     // the previous lines, whose memory is used again

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // nil if lines is empty
	err   error       // of the last write, until a Write returns it
}

// NewBuffer returns a buffer that writes to w.
func NewBuffer(w io.Writer) *Buffer { return &Buffer{w: w, lines: make([]byte, 0, bufferSize)} }

// Stdout is the buffer that the services log to. It has to be flushed before the process
// ends.
var Stdout = NewBuffer(os.Stdout)

// Write implements io.Writer for whole lines. The error may be that of an earlier line.
func (b *Buffer) Write(line []byte) (int, error) {
	for {
		added, err := b.add(line)
		switch {
		case !added:
			b.Flush()
		case err != nil:
			return 0, err
		default:
			return len(line), nil
		}
	}
}

// add appends a line, unless the buffer is full, and returns the error of the last write.
func (b *Buffer) add(line []byte) (added bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.lines)
	if before > 0 && before+len(line) > bufferMost {
		return false, nil
	}
	b.lines = append(b.lines, line...)
	if b.timer == nil {
		b.timer = time.AfterFunc(bufferTime, b.Flush)
	}
	if before <= bufferSize && len(b.lines) > bufferSize {
		b.timer.Reset(0)
	}
	err, b.err = b.err, nil
	return true, err
}

// Flush writes the lines. The next Write returns its error.
func (b *Buffer) Flush() {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	lines := b.lines
	b.lines = b.spare[:0]
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.mu.Unlock()
	b.spare = lines
	if len(lines) == 0 {
		return
	}
	if _, err := b.w.Write(lines); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.err = err
	}
}
