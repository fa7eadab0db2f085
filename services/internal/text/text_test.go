package text_test

import (
	"strings"
	"testing"

	"ecommerce-stack.dev/services/internal/text"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, violation string }{
		{"Walnut desk", "Walnut desk", ""},
		{"Cafe\u0301", "Caf\u00e9", ""},
		{"👨\u200d👩\u200d👧 🍎", "👨\u200d👩\u200d👧 🍎", ""}, // zero width joiners make one emoji
		{"می\u200cخواهم", "می\u200cخواهم", ""},         // and non-joiners separate letters
		{strings.Repeat("e\u0301", 20), strings.Repeat("\u00e9", 20), ""},
		{"", "", "expected 1 to 20 characters"},
		{strings.Repeat("é", 21), strings.Repeat("é", 21), "expected 1 to 20 characters"},
		{" Desk", " Desk", "expected no space at the beginning or the end"},
		{"Desk\u00a0", "Desk\u00a0", "expected no space at the beginning or the end"},
		{"   ", "   ", "expected no space at the beginning or the end"},
	} {
		if got, violation := text.Line(c.in, 20); got != c.want || violation != c.violation {
			t.Errorf("%q: %q, %q; want %q, %q", c.in, got, violation, c.want, c.violation)
		}
	}
	for _, r := range "\x00\a\t\n\v\r\x1b\x7f\u0085\u2028\u2029\u202a\u202e\u2066\u2069\u200b\u200e\u00ad\u2060\u180e\ufeff\ufffe\U0001ffff" {
		for _, s := range []string{"a" + string(r) + "b", string(r)} {
			if _, violation := text.Line(s, 20); violation != "expected no control characters or line breaks" {
				t.Errorf("%q: %q", s, violation)
			}
		}
	}
	// Joiner, Hangul fillers, variation selector, tag, Braille blank, and combining marks on nothing.
	for _, r := range "\u200d\u115f\u1160\u3164\uffa0\ufe0f\U000e0041\u2800\u034f\u0301" {
		if _, violation := text.Line(strings.Repeat(string(r), 2), 20); violation != "expected at least one visible character" {
			t.Errorf("%q: %q", r, violation)
		}
	}
}

func TestBlock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, violation string }{
		{"", "", ""},
		{"two\r\nlines\n\tand a tab ", "two\r\nlines\n\tand a tab ", ""},
		{"Cafe\u0301", "Caf\u00e9", ""},
		{strings.Repeat("é", 31), strings.Repeat("é", 31), "expected at most 30 characters"},
		{"a\x00", "a\x00", "expected no control characters other than tabs and line breaks"},
		{"a\u202eb", "a\u202eb", "expected no control characters other than tabs and line breaks"},
	} {
		if got, violation := text.Block(c.in, 30); got != c.want || violation != c.violation {
			t.Errorf("%q: %q, %q; want %q, %q", c.in, got, violation, c.want, c.violation)
		}
	}
}
