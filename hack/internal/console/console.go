// Package console reads the commands of a document's console blocks, with what they print, and
// compares that with what they print when they run.
package console

import (
	"fmt"
	"regexp"
	"strings"
)

// Step is a command of a console block.
type Step struct {
	Command string // with its further lines
	Output  string // that the document shows, "" for none
}

const (
	fence    = "```"
	begin    = fence + "console\n"
	prompt   = "$ "
	wildcard = "..."
)

// Section returns the steps of the console blocks of a section of a Markdown document. It
// returns an error if there is no such section or no step in it, or for an output without a
// command.
func Section(markdown, heading string) ([]Step, error) {
	_, section, found := strings.Cut(markdown, "\n## "+heading+"\n")
	if !found {
		return nil, fmt.Errorf("the document has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var steps []Step
	for _, part := range strings.Split(section, begin)[1:] {
		block, _, closed := strings.Cut(part, fence)
		if !closed {
			return nil, fmt.Errorf("a console block of the section %q does not end", heading)
		}
		continued := false
		first := len(steps)
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			command, isCommand := strings.CutPrefix(line, prompt)
			switch {
			case continued:
				steps[len(steps)-1].Command += "\n" + line
			case isCommand:
				steps = append(steps, Step{Command: command})
			case len(steps) == first:
				return nil, fmt.Errorf("a console block of the section %q begins with %q, which is no command", heading, line)
			default:
				steps[len(steps)-1].Output += line + "\n"
			}
			continued = (continued || isCommand) && strings.HasSuffix(line, `\`)
		}
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("the section %q has no commands", heading)
	}
	return steps, nil
}

// id is the number of an id in JSON, which differs between runs.
var id = regexp.MustCompile(`("(?:id|[a-z]+Id)":)\d+`)

// Matches reports whether a command has printed what the document shows. In the document,
// "..." stands for a part of a line, or on a line of its own for any number of lines. Ids are
// any numbers, and columns may have other widths.
func (s Step) Matches(printed string) bool {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for line := range strings.Lines(s.Output) {
		line = strings.TrimRight(line, "\n")
		if line == wildcard {
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		quoted := id.ReplaceAllString(strings.Join(strings.Fields(line), " "), "$1<id>")
		quoted = regexp.QuoteMeta(quoted)
		quoted = strings.ReplaceAll(quoted, regexp.QuoteMeta("<id>"), `\d+`)
		quoted = strings.ReplaceAll(quoted, regexp.QuoteMeta(wildcard), `.*`)
		pattern.WriteString(strings.ReplaceAll(quoted, " ", ` +`) + ` *\n`)
	}
	pattern.WriteString(`$`)
	if printed != "" && !strings.HasSuffix(printed, "\n") {
		printed += "\n" // The prompt follows a response without a newline.
	}
	return regexp.MustCompile(pattern.String()).MatchString(printed)
}
