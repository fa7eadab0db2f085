package main

import "regexp"

// Durations of fast alerts. fastRange contains several scrapes, so that rates have values.
const (
	fastInterval = "2s"
	fastFor      = "4s"
	fastRange    = "20s"
)

var (
	alertFor       = regexp.MustCompile(`(?m)^(\s+for: )[1-9]\d*[smh]$`)
	shortRange     = regexp.MustCompile(`\[5m\]`)
	globalInterval = regexp.MustCompile(`(?m)^(\s+(?:scrape|evaluation)_interval: )\w+$`)
)

// fastRules returns the rules with alerts that fire after 4 s instead of minutes, and with
// rates over 20 s instead of 5 minutes. Expressions, thresholds and longer ranges, which
// include the short ones, are the same.
func fastRules(rules string) string {
	return shortRange.ReplaceAllString(alertFor.ReplaceAllString(rules, "${1}"+fastFor), "["+fastRange+"]")
}

// fastIntervals returns the configuration of Prometheus with scrapes and evaluations every
// 2 s.
func fastIntervals(configuration string) string {
	return globalInterval.ReplaceAllString(configuration, "${1}"+fastInterval)
}
