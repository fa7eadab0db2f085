package http1

import (
	"net/http"
	"net/textproto"
	"strings"
)

// Field is one line of a header: its name in canonical form, and its value.
type Field struct{ Name, Value string }

// appendFields reads the lines after the first, up to the empty one. A line that
// continues the one before, a name with a space or a control character in a value are
// malformed: another reader might see other fields.
func appendFields(to []Field, text string) ([]Field, error) {
	for text != "" && text[0] != '\r' {
		n, canonical := nameEnd(text)
		end := strings.IndexByte(text, '\n')
		if n == 0 || end < 0 || text[n] != ':' || text[end-1] != '\r' {
			return nil, errMalformed
		}
		f := Field{text[:n], trim(text[n+1 : end-1])}
		if !fieldValue(f.Value) {
			return nil, errMalformed
		}
		if !canonical {
			f.Name = textproto.CanonicalMIMEHeaderKey(f.Name)
		}
		to = append(to, f)
		text = text[end+1:]
	}
	if text != "" && text != "\r\n" {
		return nil, errMalformed
	}
	return to, nil
}

// nameEnd is how far a field's name goes, and whether it is in canonical form, as most
// are: a capital at the beginning of each word, and nowhere else.
func nameEnd(text string) (n int, canonical bool) {
	canonical = true
	for first := true; n < len(text) && tokenByte[text[n]]; n++ {
		c := text[n]
		if first {
			canonical = canonical && (c < 'a' || c > 'z')
		} else {
			canonical = canonical && (c < 'A' || c > 'Z')
		}
		first = c == '-'
	}
	return n, canonical
}

// manyFields are more than any client of ours sends.
const manyFields = 64

// emptied lets a slice be used again, without what it has held, unless it is larger than
// is worth keeping for each connection.
func emptied(fields []Field) []Field {
	if cap(fields) > manyFields {
		return nil
	}
	clear(fields)
	return fields[:0]
}

// trim takes off the white space around a value.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// headerOf is what net/http makes of fields.
func headerOf(fields []Field) http.Header {
	header := make(http.Header, len(fields))
	slab := make([]string, 0, len(fields))
	for _, f := range fields {
		if before, again := header[f.Name]; again {
			header[f.Name] = append(before, f.Value)
			continue
		}
		slab = append(slab, f.Value)
		header[f.Name] = slab[len(slab)-1 : len(slab) : len(slab)]
	}
	return header
}

// token says that s is a field's name (RFC 9110, section 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenByte = func() (table [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		table[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(c))
	}
	return table
}()

// printable says that s can stand in the first line, or be a field's name.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// fieldValue says that s can be a field's value (RFC 9110, section 5.5).
func fieldValue(s string) bool {
	// Tokens are long: eight bytes at a time, until one of them may not be of a value.
	for len(s) >= 8 && !control(uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|
		uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56) {
		s = s[8:]
	}
	for i := range len(s) {
		if notOfValue[s[i]] {
			return false
		}
	}
	return true
}

// control says that one of eight bytes may be below a space or DEL. It is sure when it
// says no (H. S. Warren, Hacker's Delight, section 6-1).
func control(eight uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	del := eight ^ 0x7f*ones
	return ((eight-' '*ones)&^eight|(del-ones)&^del)&tops != 0
}

var notOfValue = func() (table [256]bool) {
	for c := range byte(' ') {
		table[c] = c != '\t'
	}
	table[0x7f] = true
	return table
}()

// names says whether a list has a token.
func names(lines []string, token string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
