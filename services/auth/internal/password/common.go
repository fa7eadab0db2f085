package password

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed common.txt
var commonText string

var common = sync.OnceValue(func() map[string]struct{} {
	words := map[string]struct{}{}
	for line := range strings.Lines(commonText) {
		if word := strings.TrimSpace(line); word != "" && !strings.HasPrefix(word, "#") {
			words[word] = struct{}{}
		}
	}
	return words
})

// Common says whether a password is one of those that are guessed first (NIST SP
// 800-63B, section 5.1.1.2), without regard to case, to digits and marks put at its
// end, or to letters that were replaced by digits that look like them.
func Common(password string) bool {
	lower := strings.ToLower(password)
	for _, form := range []string{lower, strings.TrimRight(lower, "0123456789!?.*#$@-_")} {
		if listed(form) || listed(lookAlike.Replace(form)) {
			return true
		}
	}
	return repeated(lower)
}

var lookAlike = strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t")

func listed(word string) bool {
	_, ok := common()[word]
	return ok
}

// repeated says whether s is one short piece again and again, as "abcabcabc".
func repeated(s string) bool {
	for n := 1; n <= 4 && n*2 <= len(s); n++ {
		if strings.Repeat(s[:n], len(s)/n+1)[:len(s)] == s {
			return true
		}
	}
	return false
}

// Check gives the rule that a new password breaks, or "".
func Check(password string) string {
	switch {
	case len(password) < MinBytes:
		return fmt.Sprintf("expected at least %d bytes", MinBytes)
	case len(password) > MaxBytes:
		return fmt.Sprintf("expected at most %d bytes", MaxBytes)
	case Common(password):
		return "is among the passwords that are guessed first"
	}
	return ""
}
