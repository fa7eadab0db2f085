package progress

import (
	"slices"
	"strings"
	"sync"
)

// Output is a writer for the output of a command, which stores its last lines. It is safe for
// concurrent use.
type Output struct {
	each func(string)

	mu    sync.Mutex
	lines []string
	rest  string
}

// maxLines is the number of lines that an Output stores.
const maxLines = 20

// Lines returns an Output that calls each, such as the detail of a step, with every complete
// line.
func Lines(each func(string)) *Output { return &Output{each: each} }

// Write implements io.Writer.
func (o *Output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.rest + string(data)
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			break
		}
		o.lines = append(o.lines, line)
		o.lines = o.lines[max(0, len(o.lines)-maxLines):]
		o.each(line)
		text = rest
	}
	o.rest = text
	return len(data), nil
}

// String returns the last lines.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimRight(strings.Join(append(slices.Clone(o.lines), o.rest), "\n"), "\n")
}
