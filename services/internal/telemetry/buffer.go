package telemetry

import (
	"io"
	"os"
	"sync"
	"time"
)

// Bounds of what waits in a Buffer, in bytes and time. What is above bufferSize is written
// by a goroutine of its own; whoever logs waits for that only when bufferMost would be
// exceeded, because nobody takes what is written.
const (
	bufferSize = 32 << 10
	bufferMost = 8 * bufferSize
	bufferTime = 100 * time.Millisecond
)

// Buffer gathers log lines and writes them together: a line of its own for each of
// thousands of requests a second costs more than the rest of its log. What a crash can
// lose is a tenth of a second; a logger writes warnings and errors at once, with all
// that was before them. It is safe for concurrent use.
type Buffer struct {
	w io.Writer

	writing sync.Mutex // held while lines are written, before mu
	spare   []byte     // the lines that were written last, to be used again

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // nil when nothing waits
	err   error       // of the last write, until it is told
}

// NewBuffer returns a buffer before w.
func NewBuffer(w io.Writer) *Buffer { return &Buffer{w: w, lines: make([]byte, 0, bufferSize)} }

// Stdout is the buffer that the services log to. Whoever ends the process flushes it.
var Stdout = NewBuffer(os.Stdout)

// Write implements io.Writer; it takes whole lines. Its error may be that of lines before.
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

// add adds a line, unless there is no room for it, and takes the error there is to tell.
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

// Flush writes what waits. An error is left to the next Write: nobody who logs could do
// anything about it.
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
