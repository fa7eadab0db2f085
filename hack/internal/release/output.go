package release

import (
	"slices"
	"strings"
)

// lastLines keeps the end of what a command prints and reports its last line.
type lastLines struct {
	each  func(string)
	lines []string
	rest  string
}

const kept = 20

func (l *lastLines) Write(data []byte) (int, error) {
	text := l.rest + string(data)
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			break
		}
		l.lines = append(l.lines, line)
		l.lines = l.lines[max(0, len(l.lines)-kept):]
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
