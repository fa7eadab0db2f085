package report

import (
	"strings"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/statistics"
)

// Goal is a required value of a figure.
type Goal struct {
	What string  `json:"what"`
	Want float64 `json:"want"`
	Unit string  `json:"unit,omitempty"`
	// AtMost reports whether Want is an upper limit.
	AtMost bool `json:"atMost,omitempty"`
	statistics.Summary
}

// Met reports whether the median meets the goal.
func (g Goal) Met() bool {
	if g.AtMost {
		return g.Median <= g.Want
	}
	return g.Median >= g.Want
}

// byRound returns the values of a figure by round.
type byRound func(measurement, figure string) map[int]float64

// ceilings returns the best rates of the baselines B4 with the orders of a scenario, by round.
func ceilings(find byRound, label string) map[int]float64 {
	return statistics.Best(find("saga/each-"+label, "orders"), find("saga/together-"+label, "orders"))
}

// reference returns the figure that a figure is compared with, and its display name.
func reference(find byRound, measurement, figure string) (name string, values map[int]float64) {
	group, rest, _ := strings.Cut(measurement, "/")
	present, commit := measure.Present(measurement)
	switch {
	case commit != "":
		return "now", find(present, figure)
	case group == "http" && figure == "requests" && measurement != "http/origin":
		if strings.HasSuffix(rest, "-cached") {
			return "nginx-cached", find("http/nginx-cached", figure)
		}
		return originOf(find, rest, figure)
	case group == "saga" && figure == "orders" && strings.HasSuffix(rest, "-hot"):
		return "uniform", find(strings.TrimSuffix(measurement, "hot")+"uniform", figure)
	case group == "sql" && figure == "orders" && measurement != "sql/batch-1":
		return "batch-1", find("sql/batch-1", figure)
	case group == "shop" && figure == "orders" && rest == "hot":
		return "best B4 hot", ceilings(find, "hot")
	case group == "shop" && figure == "orders":
		return "best B4 uniform", ceilings(find, "uniform")
	}
	return "", nil
}

// originOf returns the rates of the origin at the same requests as the proxy, or at requests
// without a token if the others were not measured.
func originOf(find byRound, target, figure string) (name string, values map[int]float64) {
	if strings.HasSuffix(target, "-token") && target != "origin-token" {
		if same := find("http/origin-token", figure); len(same) > 0 {
			return "origin-token", same
		}
	}
	return "origin", find("http/origin", figure)
}

// engineChange is the last commit at which the gateway had a custom HTTP/1.1 stack and event
// loop. The goals allow for the overhead of the library that replaced it.
const engineChange = "58c1c4a"

// atEngineChange returns a figure at that commit by round, or nil if the run does not compare
// with it.
func atEngineChange(samples []measure.Sample, measurement, figure string) map[int]float64 {
	for _, s := range samples {
		present, commit := measure.Present(s.Measurement)
		if present == measurement && strings.HasPrefix(commit, engineChange) { // Git may print more digits.
			return ByRound(samples, s.Measurement, figure)
		}
	}
	return nil
}

func compare(r *Row, samples []measure.Sample) {
	name, to := reference(func(m, f string) map[int]float64 { return ByRound(samples, m, f) }, r.Measurement, r.Figure)
	ratios := statistics.Ratios(ByRound(samples, r.Measurement, r.Figure), to)
	if len(ratios) == 0 {
		return
	}
	summary := statistics.Summarize(ratios)
	r.Of, r.Ratio = name, &summary
}

// goalsOf returns the goals whose figures were measured.
func goalsOf(samples []measure.Sample) []Goal {
	find := func(m, f string) map[int]float64 { return ByRound(samples, m, f) }
	uniform := find("shop/uniform", "orders")
	token := find("http/gateway-token", "requests")
	before := func(m, f string) map[int]float64 { return atEngineChange(samples, m, f) }
	goals := []Goal{
		ratio("orders through the gateway, uniform, against the best B4", .5, uniform, ceilings(find, "uniform")),
		ratio("one hot product against uniform", 1, find("shop/hot", "orders"), uniform),
		value("decided within, open loop at half of the maximum, 99th percentile", 250, "ms", find("shop/uniform", "decided p99")),
		ratio("requests with token and limits against "+engineChange, .9, token, before("http/gateway-token", "requests")),
		ratio("cached reads against "+engineChange, .8, find("http/gateway-cached", "requests"), before("http/gateway-cached", "requests")),
		ratio("requests with token and limits against the origin, same requests", .45, token, find("http/origin-token", "requests")),
		ratio("requests with token and limits against Go's ReverseProxy, same requests", 1.6, token, find("http/go-reverseproxy-token", "requests")),
		ratio("orders through the gateway, uniform, against "+engineChange, .95, uniform, before("shop/uniform", "orders")),
	}
	for _, service := range []string{"gateway", "sales", "stock", "auth"} {
		goals = append(goals,
			value("memory of "+service+" idle", 40, "MiB", find("rest/services", "memory of "+service)),
			value("memory of "+service+" at the maximum", 150, "MiB", find("shop/uniform", "peak memory of "+service)))
	}
	var measured []Goal
	for _, g := range goals {
		if g.N > 0 {
			measured = append(measured, g)
		}
	}
	return measured
}

func ratio(what string, want float64, of, to map[int]float64) Goal {
	return Goal{What: what, Want: want, Summary: statistics.Summarize(statistics.Ratios(of, to))}
}

func value(what string, want float64, unit string, values map[int]float64) Goal {
	var all []float64
	for _, v := range values {
		all = append(all, v)
	}
	return Goal{What: what, Want: want, Unit: unit, AtMost: true, Summary: statistics.Summarize(all)}
}
