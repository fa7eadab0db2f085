// Package language lists identifiers and phrases that were replaced by standard terms. Its
// test fails if one of them returns.
package language

import (
	"fmt"
	"regexp"
	"strings"
)

// term is a retired identifier or phrase, as a regular expression, and its replacement.
type term struct{ retired, replacement string }

// terms are matched case-sensitively and as whole words within a line.
var terms = []term{
	{`StatusHeld`, "ReservationReserved"},
	{`StatusGone`, "ReservationRemoved"},
	{`StatusBack`, "ReservationReleased"},
	{`StatusDenied`, "ReservationRejected"},
	{`inventory\.Book`, "inventory.UnitOfWork"},
	{`onFile`, "existing"},
	{`Heard`, "StockEvent"},
	{`Hear|[Hh]ears`, "Apply, or SetConnected of a cache"},
	{`HearReserved`, "ApplyReserved"},
	{`HearFailed`, "ApplyRejected"},
	{`Tx\) Say|tx\.Say`, "Publish"},
	{`ErrAgain`, "ErrRetry"},
	{`MayPass`, "IsTransient"},
	{`limit\.Held`, "limit.Concurrency"},
	{`TooManyHeld`, "TooManyConcurrent"},
	{`deafTTL`, "disconnectedTTL"},
	{`gateway_cache_hears_changes`, "gateway_cache_invalidation_connected"},
	{`way=\\?"(memory|swept)`, `source="dispatcher" or source="relay"`},
	{`KeepLetter`, "StoreDeadLetter"},
	{`healBroker`, "healRabbitMQ"},
	{`ByHand|by_hand`, "Manual, reserved_manual"},
	{`for_sales`, "reserved_sales"},
	{`is away for the moment`, "A dependency is temporarily unavailable. Retry later."},
	{`no request that can be read`, "Malformed HTTP request."},
	{`does not take the method`, "Method not allowed. Allowed: ..."},
	{`no such sale of yours`, "Sale not found."},
	{`than this call reads`, "The body exceeds the limit of ... for this operation."},
	{`heard of`, "cache invalidation connected or disconnected"},
	{`kept answers`, "cached responses, stored responses"},
	{`had been as they should be`, "had been ready"},
	{`everything to a verdict`, "Run the whole test suite"},
	{`against what the machine can do`, "against hardware and peer baselines"},
	{`the (rooms|house)`, "packages, modules, the architecture"},
	{`the store's only door`, "the gateway is the entry point of the system"},
	{`[Rr]epl(y|ies)`, "response"},
	{`in vain`, "without success"},
	{`[Cc]atalogues?`, "catalog"},
	{`[Bb]ehaviours?`, "behavior"},
	{`[Nn]eighbours?`, "neighbor"},
	{`[Nn]ormalis(e|es|ed|ing)`, "normalize"},
	{`[Aa]nswer(s|ed|ing)?`, "response, respond"},
	{`anew`, "again, or what replaces the old value"},
	{`[Ww]hoever`, "the program or person"},
	{`\b([Ss]ome|[Ee]very)body\b`, "another user, every user"},
	{`hangUp`, "closeConnection"},
	{`makeRoom|make room`, "evict, or admit others"},
	{`[Tt]owards`, "toward"},
}

// Violations returns a message with file and line for every retired term in the content of a
// file.
func Violations(file, content string) []string {
	if !anyTerm.MatchString(content) {
		return nil
	}
	var messages []string
	number := 0
	for line := range strings.Lines(content) {
		number++
		for i, pattern := range patterns {
			if found := pattern.FindString(line); found != "" {
				messages = append(messages, fmt.Sprintf("%s:%d: %q is retired: use %q", file, number, found, terms[i].replacement))
			}
		}
	}
	return messages
}

// patterns are the compiled terms, and anyTerm matches any of them: most files contain none, and
// are read once for all terms.
var patterns, anyTerm = compile()

func compile() ([]*regexp.Regexp, *regexp.Regexp) {
	each, retired := make([]*regexp.Regexp, len(terms)), make([]string, len(terms))
	for i, t := range terms {
		retired[i] = `\b(?:` + t.retired + `)\b`
		each[i] = regexp.MustCompile(retired[i])
	}
	return each, regexp.MustCompile(strings.Join(retired, "|"))
}
