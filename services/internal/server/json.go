package server

import (
	"bytes"
	"encoding/json"
	"math/big"
	"regexp"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"ecommerce-stack.dev/services/internal/problem"
)

// isJSONText reports whether the strings in JSON are text: UTF-8, and without an escaped surrogate
// that has no other half (RFC 8259, section 8). encoding/json replaces both by U+FFFD, so that
// different strings would be equal.
func isJSONText(body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	for i := bytes.IndexByte(body, '\\'); i >= 0 && i < len(body); i++ {
		switch unit := escapedUnit(body[i:]); {
		case unit == 0 && body[i] == '\\':
			i++ // the escaped character
		case !utf16.IsSurrogate(unit):
		case utf16.DecodeRune(unit, escapedUnit(body[i+6:])) == unicode.ReplacementChar:
			return false
		default:
			i += 11
		}
	}
	return true
}

// escapedUnit returns the UTF-16 code unit of the escape, such as \u00e9, with which b begins, or 0.
func escapedUnit(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}

// markNulls replaces null members of objects, which huma takes for absent ones: no field has null
// among its values, and a client that sends it expects an effect.
func markNulls(tree any) {
	switch tree := tree.(type) {
	case map[string]any:
		for name, member := range tree {
			if member == nil {
				tree[name] = problem.Null{}
			}
			markNulls(member)
		}
	case []any:
		for _, item := range tree {
			markNulls(item)
		}
	}
}

// stringOrNumber matches a string of JSON, and a number with the parts fraction and exponent.
var stringOrNumber = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?`)

// maxNumber bounds the length of a number and of its exponent that plainIntegers changes: longer ones
// are not in the range of any field, and an exponent of a billion has that many digits.
const maxNumber, maxExponent = 40, 20

// plainIntegers returns JSON in which integers that are written with a fraction or an exponent, such
// as 1.0 and 1e0, have neither. They are integers (JSON Schema 2020-12 validation, section 6.1.1),
// which encoding/json does not decode into an integer.
func plainIntegers(body []byte) []byte {
	if !hasFraction(body) || !json.Valid(body) {
		return body
	}
	return stringOrNumber.ReplaceAllFunc(body, func(token []byte) []byte {
		mantissa, exponent, _ := bytes.Cut(bytes.ToLower(token), []byte("e"))
		if token[0] == '"' || len(token) > maxNumber || len(exponent) == 0 && bytes.IndexByte(mantissa, '.') < 0 {
			return token
		}
		if n, err := strconv.Atoi(string(exponent)); len(exponent) > 0 && (err != nil || n > maxExponent || n < -maxExponent) {
			return token
		}
		number, ok := new(big.Rat).SetString(string(token))
		if !ok || !number.IsInt() {
			return token
		}
		return []byte(number.Num().String())
	})
}

// hasFraction reports whether JSON may have a number with a fraction or an exponent.
func hasFraction(body []byte) bool {
	for i := 1; i < len(body); i++ {
		if c := body[i]; (c == '.' || c == 'e' || c == 'E') && body[i-1] >= '0' && body[i-1] <= '9' {
			return true
		}
	}
	return false
}
