package release

import (
	"slices"
	"strings"
)

// lastLines is a writer that stores the last lines of a command's output and calls
// each with every complete line.
type lastLines struct {
	each  func(string)
	lines []string
	rest  string
}

const maxLines = 20

func (l *lastLines) Write(data []byte) (int, error) {
	text := l.rest + string(data)
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			break
		}
		l.lines = append(l.lines, line)
		l.lines = l.lines[max(0, len(l.lines)-maxLines):]
		l.each(line)
		text = rest
	}
	l.rest = text
	return len(data), nil
}

func (l *lastLines) String() string {
	return strings.TrimRight(strings.Join(append(slices.Clone(l.lines), l.rest), "\n"), "\n")
}

func sorted(values []string) []string {
	slices.Sort(values)
	return values
}
