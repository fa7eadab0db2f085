package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// table is a section of text in columns. The first column is aligned left, the others right.
type table struct {
	title string
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the table, unless it has no rows except head rows.
func (t *table) write(w io.Writer, head int) {
	if len(t.rows) <= head {
		return
	}
	fmt.Fprintf(w, "\n%s\n", t.title)
	widths := map[int]int{}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		line := ""
		for i, cell := range row {
			width := widths[i]
			if i == 0 {
				width = -width
			}
			line += fmt.Sprintf("  %*s", width, cell)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

var english = message.NewPrinter(language.English)

// Number formats a value with about three significant digits and groups thousands.
func Number(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 100:
		return english.Sprintf("%.0f", v)
	case abs >= 10:
		return english.Sprintf("%.1f", v)
	}
	return english.Sprintf("%.2f", v)
}

func spread(s Summary) string {
	if s.N < 2 {
		return ""
	}
	return Number(s.Min) + " .. " + Number(s.Max)
}

func ratioOf(s *Summary) string {
	switch {
	case s == nil:
		return ""
	case s.N < 2:
		return fmt.Sprintf("%.2f", s.Median)
	}
	return fmt.Sprintf("%.2f (%.2f .. %.2f)", s.Median, s.Min, s.Max)
}

// median returns the median of a figure as text, or "".
func median(rows []Row, measurement, figure string) string {
	if row, ok := find(rows, measurement, figure); ok {
		return Number(row.Median)
	}
	return ""
}

// Print writes the tables.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "\nMedian of %d rounds, %g s each, with the extremes; ratios are taken within a round.\n", r.Rounds, r.Seconds)
	if r.Rounds < 5 || r.Seconds < 5 {
		fmt.Fprintln(w, "Short run: it only checks that everything works. Its figures are not meaningful.")
	}
	settings := &table{title: "Settings"}
	for _, s := range r.Settings {
		settings.add(s[0] + "  " + s[1])
	}
	settings.write(w, 0)

	throughput := &table{title: "Throughput"}
	throughput.add("", "median", "min .. max", "", "ratio", "to")
	proxies := &table{title: "Requests through proxies"}
	proxies.add("", "requests/s", "min .. max", "ratio", "to", "p50 ms", "p99 ms", "CPU µs/request")
	rest := &table{title: "Without load"}
	for _, row := range r.Rows {
		switch group := measure.Group(row.Measurement); {
		case group == "rest":
			rest.add(row.Figure, Number(row.Median), spread(row.Summary), row.Unit)
		case group == "http" && row.Figure == "requests":
			proxies.add(row.Measurement, Number(row.Median), spread(row.Summary), ratioOf(row.Ratio), row.Of,
				median(r.Rows, row.Measurement, "p50"), median(r.Rows, row.Measurement, "p99"),
				median(r.Rows, row.Measurement, "CPU"))
		case group == "disk", group == "sql", group == "broker", row.Figure == "orders", row.Figure == "reads":
			throughput.add(row.Measurement+" "+row.Figure, Number(row.Median), spread(row.Summary), row.Unit, ratioOf(row.Ratio), row.Of)
		}
	}
	throughput.write(w, 1)
	proxies.write(w, 1)
	r.scenarios(w)
	rest.write(w, 0)
	r.goals(w)

	r.against(w)
}

// pairFigures are the figures that are compared between revisions, by group. The rate of
// the open loop differs between revisions, so it precedes the latency at that rate.
var pairFigures = map[string][]string{
	"http": {"requests", "CPU"},
	"shop": {"orders", "open loop", "decided p99", "CPU of the system", "CPU gateway"},
}

// against writes a table of the figures that were measured at an earlier and at the present
// revision.
func (r *Report) against(w io.Writer) {
	t, f := &table{title: "Against earlier revisions"}, figuresOf(r.Samples)
	t.add("", "then", "now", "", "now to then")
	for _, then := range r.Rows {
		present, commit := measure.Present(then.Measurement)
		ratio := f.of(present, then.Figure).over(f.of(then.Measurement, then.Figure)).summary()
		if commit != "" && ratio.N > 0 && slices.Contains(pairFigures[measure.Group(present)], then.Figure) {
			t.add(then.Measurement+" "+then.Figure, Number(then.Median), median(r.Rows, present, then.Figure), then.Unit, ratioOf(&ratio))
		}
	}
	t.write(w, 1)
}

// scenarios writes a table with a column for each scenario, and for the raw saga, which is the cost
// of an order without the services.
func (r *Report) scenarios(w io.Writer) {
	const rawSaga = "saga/together-uniform"
	t := &table{title: "Scenarios through the gateway, and the raw saga (B4, uniform, accepted together); medians"}
	head, measurements, figures := []string{""}, []string{}, []Row{} // The figures are the first row of each.
	for _, row := range r.Rows {
		name, isScenario := strings.CutPrefix(row.Measurement, "shop/")
		if row.Measurement == rawSaga {
			name, isScenario = "raw saga", true
		}
		if !isScenario || strings.Contains(name, "@") {
			continue
		}
		if !slices.Contains(head, name) {
			head, measurements = append(head, name), append(measurements, row.Measurement)
		}
		if !slices.ContainsFunc(figures, func(f Row) bool { return f.Figure == row.Figure }) {
			figures = append(figures, row)
		}
	}
	t.add(append(head, "")...)
	for _, f := range figures {
		line := []string{f.Figure}
		for _, m := range measurements {
			line = append(line, median(r.Rows, m, f.Figure))
		}
		t.add(append(line, f.Unit)...)
	}
	t.write(w, 1)
}

func (r *Report) goals(w io.Writer) {
	t := &table{title: "Goals"}
	t.add("", "goal", "median", "min .. max", "", "")
	for _, g := range r.Goals {
		mark, limit := "missed", "at least "
		if g.Met() {
			mark = "met"
		}
		if g.AtMost {
			limit = "at most "
		}
		t.add(g.What, limit+Number(g.Want), Number(g.Median), spread(g.Summary), g.Unit, mark)
	}
	t.write(w, 1)
}
