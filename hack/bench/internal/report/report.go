// Package report writes the results of a run as tables, JSON and plots.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// Run describes a run.
type Run struct {
	Began   time.Time `json:"began"`
	Rounds  int       `json:"rounds"`
	Seconds float64   `json:"seconds"` // of each measurement
	// Settings are the settings of the machine, the servers and the services, as read
	// from the running system, each with its name.
	Settings [][2]string `json:"settings"`
}

// Report is the result of a run.
type Report struct {
	Run
	Samples []measure.Sample `json:"samples"`
	Rows    []Row            `json:"rows"`
	Goals   []Goal           `json:"goals"`
}

// Row is the summary of a figure over all rounds.
type Row struct {
	Measurement string `json:"measurement"`
	Figure      string `json:"figure"`
	Unit        string `json:"unit"`
	Summary
	// Of is the name of the divisor of Ratio, which is computed in each round.
	Of    string   `json:"of,omitempty"`
	Ratio *Summary `json:"ratio,omitempty"`
}

// Digest computes rows and goals from the samples.
func (r *Report) Digest() {
	f := figuresOf(r.Samples)
	r.Rows = rowsOf(r.Samples)
	for i := range r.Rows {
		row := &r.Rows[i]
		name, to := f.reference(row.Measurement, row.Figure)
		if ratio := f.of(row.Measurement, row.Figure).over(to).summary(); ratio.N > 0 {
			row.Of, row.Ratio = name, &ratio
		}
	}
	r.Goals = f.goals()
}

// rowsOf returns the rows in the order of the first samples.
func rowsOf(samples []measure.Sample) []Row {
	all := figuresOf(samples)
	var rows []Row
	for _, s := range samples {
		for _, f := range s.Figures {
			if _, found := find(rows, s.Measurement, f.Name); !found {
				rows = append(rows, Row{Measurement: s.Measurement, Figure: f.Name, Unit: f.Unit, Summary: all.of(s.Measurement, f.Name).summary()})
			}
		}
	}
	return rows
}

func find(rows []Row, measurement, figure string) (Row, bool) {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Measurement == measurement && r.Figure == figure })
	if i < 0 {
		return Row{}, false
	}
	return rows[i], true
}

// reference returns the figure that a figure is compared with, and its display name.
func (f figures) reference(measurement, figure string) (name string, values byRound) {
	group, rest, _ := strings.Cut(measurement, "/")
	present, commit := measure.Present(measurement)
	switch {
	case commit != "":
		return "now", f.of(present, figure)
	case group == "http" && figure == "requests" && strings.HasSuffix(rest, "-cached"):
		return "nginx-cached", f.of("http/nginx-cached", figure)
	case group == "http" && figure == "requests" && strings.HasSuffix(rest, "-token") && rest != "origin-token" && f.of("http/origin-token", figure) != nil:
		return "origin-token", f.of("http/origin-token", figure)
	case group == "http" && figure == "requests" && rest != "origin":
		return "origin", f.of("http/origin", figure)
	case figure != "orders":
		return "", nil
	case group == "saga" && strings.HasSuffix(rest, "-hot"):
		return "uniform", f.of(strings.TrimSuffix(measurement, "hot")+"uniform", figure)
	case group == "sql" && rest != "batch-1":
		return "batch-1", f.of("sql/batch-1", figure)
	case group == "shop" && rest == "hot":
		return "best B4 hot", f.ceiling("hot")
	case group == "shop":
		return "best B4 uniform", f.ceiling("uniform")
	}
	return "", nil
}

// ceiling returns the best rates of the baselines B4 with the orders of a scenario.
func (f figures) ceiling(orders string) byRound {
	return best(f.of("saga/each-"+orders, "orders"), f.of("saga/together-"+orders, "orders"))
}

// Publish prints the tables and writes JSON and plots to a folder. It prints the paths.
func (r *Report) Publish(w io.Writer, dir string) error {
	r.Digest()
	r.Print(w)
	return r.write(w, dir, "", r, r.plot)
}

// write writes a value as JSON, and plots, to files with the time of the run.
func (r *Run) write(w io.Writer, dir, what string, value any, plot func(base string) error) error {
	raw, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	base := filepath.Join(dir, r.Began.UTC().Format("20060102T150405Z")+what)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(base+".json", append(raw, '\n'), 0o644)); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	fmt.Fprintf(w, "\nAll samples and plots: %s*\n", base)
	return plot(base)
}
