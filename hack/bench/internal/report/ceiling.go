package report

import (
	"io"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/statistics"
)

// Share is what a proxy does of what one does that makes only the system calls which every
// proxy needs. The project has no goal for it: it says how much is left to gain. The relay gives
// messages as many bytes more as our gateway; nginx, which gives them fewer, may do more.
type Share struct {
	What        string `json:"what"`
	Measurement string `json:"measurement"`
	Of          string `json:"of"`
	// The ratio is taken in each round.
	statistics.Summary
}

// relay is the proxy of nothing but system calls.
const relay = "http/relay-token"

// sharesOf are the shares of the proxies that were measured beside the relay, at the same
// requests.
func sharesOf(samples []measure.Sample) []Share {
	var measured []Share
	for _, s := range []Share{
		{What: "gateway with token and limits", Measurement: "http/gateway-token"},
		{What: "nginx, same requests", Measurement: "http/nginx-token"},
	} {
		ratios := statistics.Ratios(ByRound(samples, s.Measurement, "requests"), ByRound(samples, relay, "requests"))
		if len(ratios) == 0 {
			continue
		}
		s.What += " against a relay that does only system calls"
		s.Of, s.Summary = relay, statistics.Summarise(ratios)
		measured = append(measured, s)
	}
	return measured
}

// ceiling has a line for each share.
func (r *Report) ceiling(w io.Writer) {
	if len(r.Ceiling) == 0 {
		return
	}
	section(w, "Ceiling")
	t := &table{}
	t.add("", "median", "min .. max")
	for _, s := range r.Ceiling {
		t.add(s.What, Number(s.Median), spread(s.Summary))
	}
	t.write(w)
}
