package report

import (
	"strings"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// Goal is a required value of a figure.
type Goal struct {
	What string  `json:"what"`
	Want float64 `json:"want"`
	Unit string  `json:"unit,omitempty"`
	// AtMost reports whether Want is an upper limit.
	AtMost bool `json:"atMost,omitempty"`
	Summary
}

// Met reports whether the median meets the goal.
func (g Goal) Met() bool {
	if g.AtMost {
		return g.Median <= g.Want
	}
	return g.Median >= g.Want
}

// engineChange is the last commit at which the gateway had a custom HTTP/1.1 stack and event
// loop. The goals allow for the overhead of the library that replaced it.
const engineChange = "58c1c4a"

// atEngineChange returns a figure at that commit, or nil if the run does not compare with it.
func (f figures) atEngineChange(measurement, figure string) byRound {
	for key, values := range f {
		present, commit := measure.Present(key[0])
		if present == measurement && key[1] == figure && strings.HasPrefix(commit, engineChange) { // Git may print more digits.
			return values
		}
	}
	return nil
}

// goals returns the goals whose figures were measured.
func (f figures) goals() []Goal {
	var goals []Goal
	add := func(what string, want float64, unit string, atMost bool, values byRound) {
		if s := values.summary(); s.N > 0 {
			goals = append(goals, Goal{What: what, Want: want, Unit: unit, AtMost: atMost, Summary: s})
		}
	}
	ratio := func(what string, want float64, of, to byRound) { add(what, want, "", false, of.over(to)) }
	limit := func(what string, want float64, unit string, values byRound) { add(what, want, unit, true, values) }

	uniform, token, cached := f.of("shop/uniform", "orders"), f.of("http/gateway-token", "requests"), f.of("http/gateway-cached", "requests")
	ratio("orders through the gateway, uniform, against the best B4", .5, uniform, f.ceiling("uniform"))
	ratio("one hot product against uniform", 1, f.of("shop/hot", "orders"), uniform)
	limit("decided within, open loop at half of the maximum, 99th percentile", 250, "ms", f.of("shop/uniform", "decided p99"))
	ratio("requests with token and limits against "+engineChange, .9, token, f.atEngineChange("http/gateway-token", "requests"))
	ratio("cached reads against "+engineChange, .8, cached, f.atEngineChange("http/gateway-cached", "requests"))
	ratio("requests with token and limits against the origin, same requests", .45, token, f.of("http/origin-token", "requests"))
	ratio("requests with token and limits against Go's ReverseProxy, same requests", 1.6, token, f.of("http/go-reverseproxy-token", "requests"))
	ratio("orders through the gateway, uniform, against "+engineChange, .95, uniform, f.atEngineChange("shop/uniform", "orders"))
	for _, service := range []string{"gateway", "sales", "stock", "auth"} {
		limit("memory of "+service+" idle", 40, "MiB", f.of("rest/services", "memory of "+service))
		limit("memory of "+service+" at the maximum", 150, "MiB", f.of("shop/uniform", "peak memory of "+service))
	}
	return goals
}
