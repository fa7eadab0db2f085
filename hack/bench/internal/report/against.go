package report

import (
	"io"
	"slices"
	"strings"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/statistics"
)

// Pair is a figure at an earlier revision and at the present one.
type Pair struct {
	Measurement string             `json:"measurement"`
	Figure      string             `json:"figure"`
	Unit        string             `json:"unit"`
	Commit      string             `json:"commit"`
	Then        statistics.Summary `json:"then"`
	Now         statistics.Summary `json:"now"`
	// Ratio is Now divided by Then in each round.
	Ratio statistics.Summary `json:"ratio"`
}

// pairFigures are the figures that are compared between revisions, by group. The rate of
// the open loop differs between revisions, so it precedes the latency at that rate.
var pairFigures = map[string][]string{
	"http": {"requests", "CPU"},
	"shop": {"orders", "open loop", "decided p99", "CPU of the system", "CPU gateway"},
}

// pairsOf returns the pairs of all figures that have a twin.
func pairsOf(rows []Row, samples []measure.Sample) []Pair {
	var pairs []Pair
	for _, name := range twins(rows) {
		present, commit := measure.Present(name)
		group, _, _ := strings.Cut(name, "/")
		for _, figure := range pairFigures[group] {
			then, wasMeasured := find(rows, name, figure)
			now, isMeasured := find(rows, present, figure)
			ratios := statistics.Ratios(ByRound(samples, present, figure), ByRound(samples, name, figure))
			if !wasMeasured || !isMeasured || len(ratios) == 0 {
				continue
			}
			pairs = append(pairs, Pair{Measurement: present, Figure: figure, Unit: then.Unit, Commit: commit,
				Then: then.Summary, Now: now.Summary, Ratio: statistics.Summarize(ratios)})
		}
	}
	return pairs
}

// twins returns the names of the measurements of earlier revisions.
func twins(rows []Row) []string {
	var names []string
	for _, row := range rows {
		if _, commit := measure.Present(row.Measurement); commit != "" && !slices.Contains(names, row.Measurement) {
			names = append(names, row.Measurement)
		}
	}
	return names
}

// commits returns the earlier revisions.
func commits(rows []Row) []string {
	var all []string
	for _, name := range twins(rows) {
		if _, commit := measure.Present(name); !slices.Contains(all, commit) {
			all = append(all, commit)
		}
	}
	return all
}

func find(rows []Row, measurement, figure string) (Row, bool) {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Measurement == measurement && r.Figure == figure })
	if i < 0 {
		return Row{}, false
	}
	return rows[i], true
}

// against writes a table with a line for each pair.
func (r *Report) against(w io.Writer) {
	if len(r.Against) == 0 {
		return
	}
	section(w, "Against earlier revisions")
	t := &table{}
	t.add("", "then", "now", "", "now to then")
	for _, p := range r.Against {
		t.add(measure.Twin(p.Measurement, p.Commit)+" "+p.Figure, Number(p.Then.Median), Number(p.Now.Median), p.Unit, ratioOf(&p.Ratio))
	}
	t.write(w)
}
