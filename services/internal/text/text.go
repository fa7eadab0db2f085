// Package text implements the rule for text that people read, such as the name of a product or of a
// user: it is stored in NFC (Unicode Standard Annex 15), so that equal text has equal bytes, and it
// has no characters that change or hide what surrounds it.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// NFC returns s in Normalization Form C.
func NFC(s string) string { return norm.NFC.String(s) }

// Line returns a text of one line in NFC, and the rule that it violates, or "". It has 1 to limit
// characters of which at least one is visible, no white space at its ends, and no control characters.
func Line(s string, limit int) (normalized, violation string) {
	s = NFC(s)
	switch n := utf8.RuneCountInString(s); {
	case n < 1 || n > limit:
		return s, fmt.Sprintf("expected 1 to %d characters", limit)
	case strings.ContainsFunc(s, isControl):
		return s, "expected no control characters or line breaks"
	case strings.TrimSpace(s) != s:
		return s, "expected no space at the beginning or the end"
	case !strings.ContainsFunc(s, isVisible):
		return s, "expected at least one visible character"
	}
	return s, ""
}

// Block returns a text of any number of lines in NFC, and the rule that it violates, or "". It has
// at most limit characters, also none, and no control characters other than tabs and line breaks.
func Block(s string, limit int) (normalized, violation string) {
	s = NFC(s)
	switch {
	case utf8.RuneCountInString(s) > limit:
		return s, fmt.Sprintf("expected at most %d characters", limit)
	case strings.ContainsFunc(s, func(r rune) bool { return isControl(r) && r != '\t' && r != '\n' && r != '\r' }):
		return s, "expected no control characters other than tabs and line breaks"
	}
	return s, ""
}

// isControl reports whether r is a control character, a line or paragraph separator, a format
// character without effect on the letters beside it, or no character at all. Format characters
// change the direction of the text after them (Unicode Standard Annex 9, section 2), or make text
// that looks equal different. Joiners are a part of words and emoji, and of them tags.
func isControl(r rune) bool {
	switch {
	case r == '\u200c', r == '\u200d', r >= '\U000e0020' && r <= '\U000e007f':
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point)
}

const brailleBlank = '\u2800' // a symbol without dots

// isVisible reports whether r is a letter, number, punctuation or symbol that is displayed. Some
// letters, such as the Hangul fillers, are not (Unicode Standard, section 5.21).
func isVisible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) && r != brailleBlank &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
