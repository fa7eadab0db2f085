package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/statistics"
)

// table is text in columns. The first column is aligned left, the others right.
type table struct{ rows [][]string }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var b strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString("  " + cell + gap)
			} else {
				b.WriteString("  " + gap + cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// Number formats a value with about three significant digits and groups thousands.
func Number(v float64) string {
	abs := math.Abs(v)
	switch {
	case abs >= 1000:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case abs >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func thousands(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

func spread(s statistics.Summary) string {
	if s.N < 2 {
		return ""
	}
	return Number(s.Min) + " .. " + Number(s.Max)
}

func ratioOf(s *statistics.Summary) string {
	if s == nil {
		return ""
	}
	text := fmt.Sprintf("%.2f", s.Median)
	if s.N > 1 {
		text += fmt.Sprintf(" (%.2f .. %.2f)", s.Min, s.Max)
	}
	return text
}

// Print writes the tables.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "\nMedian of %d rounds, %g s each, with the extremes; ratios are taken within a round.\n", r.Rounds, r.Seconds)
	if r.Quick || r.Rounds < 5 || r.Seconds < 5 {
		fmt.Fprintln(w, "Short run: it only checks that everything works. Its figures are not meaningful.")
	}
	section(w, "Settings")
	facts := &table{}
	for _, s := range r.Settings {
		facts.add(s.Name + "  " + s.Value)
	}
	facts.write(w)
	r.headlines(w)
	r.proxies(w)
	r.scenarios(w, "", "Scenarios through the gateway, and the raw saga (B4, uniform, accepted together); medians")
	for _, commit := range commits(r.Rows) {
		r.scenarios(w, commit, "Scenarios at "+commit+"; medians")
	}
	r.rest(w)
	r.goals(w)
	r.against(w)
}

func section(w io.Writer, title string) { fmt.Fprintf(w, "\n%s\n", title) }

// headlines writes a table of the first figures of the measurements, and of all figures that
// no other table contains.
func (r *Report) headlines(w io.Writer) {
	t := &table{}
	t.add("", "median", "min .. max", "", "ratio", "to")
	for _, row := range r.Rows {
		group, _, _ := strings.Cut(row.Measurement, "/")
		if group == "rest" || group == "http" || (group == "shop" || group == "saga") && row.Figure != "orders" && row.Figure != "reads" {
			continue
		}
		t.add(row.Measurement+" "+row.Figure, Number(row.Median), spread(row.Summary), row.Unit, ratioOf(row.Ratio), row.Of)
	}
	if len(t.rows) > 1 {
		section(w, "Throughput")
		t.write(w)
	}
}

// proxies writes a table with a line for each proxy.
func (r *Report) proxies(w io.Writer) {
	t := &table{}
	t.add("", "requests/s", "min .. max", "ratio", "to", "p50 ms", "p99 ms", "CPU µs/request", "allocations/request")
	for _, row := range r.Rows {
		if !strings.HasPrefix(row.Measurement, "http/") || row.Figure != "requests" {
			continue
		}
		t.add(row.Measurement, Number(row.Median), spread(row.Summary), ratioOf(row.Ratio), row.Of,
			r.median(row.Measurement, "p50"), r.median(row.Measurement, "p99"), r.median(row.Measurement, "CPU"),
			r.median(row.Measurement, "allocations"))
	}
	if len(t.rows) > 1 {
		section(w, "Requests through proxies")
		t.write(w)
	}
}

// median returns the median of a figure as text.
func (r *Report) median(measurement, figure string) string {
	row, ok := find(r.Rows, measurement, figure)
	if !ok {
		return ""
	}
	return Number(row.Median)
}

// rawSaga is the measurement with a column in the table of scenarios, for the cost of an order
// without the services.
const rawSaga = "saga/together-uniform"

// scenarios writes a table with a column for each scenario of a commit, which is "" for the
// present revision.
func (r *Report) scenarios(w io.Writer, commit, title string) {
	var names, figures []string
	units := map[string]string{}
	cells := map[[2]string]string{}
	for _, row := range r.Rows {
		present, of := measure.Present(row.Measurement)
		name, ok := strings.CutPrefix(present, "shop/")
		if present == rawSaga {
			name, ok = "raw saga", true
		}
		if !ok || of != commit {
			continue
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if !slices.Contains(figures, row.Figure) {
			figures = append(figures, row.Figure)
			units[row.Figure] = row.Unit
		}
		cells[[2]string{name, row.Figure}] = Number(row.Median)
	}
	if len(names) == 0 {
		return
	}
	section(w, title)
	t := &table{}
	t.add(append([]string{""}, append(names, "")...)...)
	for _, f := range figures {
		line := []string{f}
		for _, name := range names {
			line = append(line, cells[[2]string{name, f}])
		}
		t.add(append(line, units[f])...)
	}
	t.write(w)
}

func (r *Report) rest(w io.Writer) {
	t := &table{}
	for _, row := range r.Rows {
		if strings.HasPrefix(row.Measurement, "rest/") {
			t.add(row.Figure, Number(row.Median), spread(row.Summary), row.Unit)
		}
	}
	if len(t.rows) > 0 {
		section(w, "Without load")
		t.write(w)
	}
}

func (r *Report) goals(w io.Writer) {
	if len(r.Goals) == 0 {
		return
	}
	section(w, "Goals")
	t := &table{}
	t.add("", "goal", "median", "min .. max", "", "")
	for _, g := range r.Goals {
		mark := "missed"
		if g.Met() {
			mark = "met"
		}
		limit := "at least "
		if g.AtMost {
			limit = "at most "
		}
		t.add(g.What, limit+Number(g.Want), Number(g.Median), spread(g.Summary), g.Unit, mark)
	}
	t.write(w)
}
