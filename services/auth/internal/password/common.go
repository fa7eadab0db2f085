package password

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"ecommerce-stack.dev/services/internal/text"
)

//go:embed common.txt
var commonText string

var commonWords = sync.OnceValue(func() map[string]struct{} {
	words := map[string]struct{}{}
	for line := range strings.Lines(commonText) {
		if word := strings.TrimSpace(line); word != "" && !strings.HasPrefix(word, "#") {
			words[word] = struct{}{}
		}
	}
	return words
})

// IsCommon reports whether a password is among the most common ones (NIST SP 800-63B, section
// 5.1.1.2), or becomes one without regard to case, without digits and punctuation at its end, or
// with letters in place of similar digits. Repetitions of up to four characters are common, too.
func IsCommon(password string) bool {
	lower := strings.ToLower(password)
	for _, form := range []string{lower, strings.TrimRight(lower, "0123456789!?.*#$@-_")} {
		if isCommonWord(form) || isCommonWord(lookAlikes.Replace(form)) {
			return true
		}
	}
	return isRepetition(lower)
}

// lookAlikes replaces digits and punctuation by similar letters.
var lookAlikes = strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t")

func isCommonWord(word string) bool {
	_, ok := commonWords()[word]
	return ok
}

// isRepetition reports whether s repeats its first one to four bytes, such as "abcabcabc".
func isRepetition(s string) bool {
	for n := 1; n <= 4 && n*2 <= len(s); n++ {
		if strings.Repeat(s[:n], len(s)/n+1)[:len(s)] == s {
			return true
		}
	}
	return false
}

// Check returns the rule that a new password violates in NFC, or "".
func Check(password string) string {
	password = text.NFC(password)
	switch {
	case len(password) < MinBytes:
		return fmt.Sprintf("expected at least %d bytes", MinBytes)
	case len(password) > MaxBytes:
		return fmt.Sprintf("expected at most %d bytes", MaxBytes)
	case IsCommon(password):
		return "expected a password that is not among the most common ones"
	}
	return ""
}
