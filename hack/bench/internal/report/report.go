// Package report writes the results of a run as tables, JSON and plots.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/statistics"
)

// Report is the result of a run.
type Report struct {
	Began   time.Time `json:"began"`
	Rounds  int       `json:"rounds"`
	Seconds float64   `json:"seconds"` // of each measurement
	Quick   bool      `json:"quick,omitempty"`
	// Settings are the settings of the machine, the servers and the services, as read
	// from the running system.
	Settings []Setting `json:"settings"`
	// About contains the descriptions of the measurements by name.
	About   map[string]string `json:"about"`
	Samples []measure.Sample  `json:"samples"`
	Rows    []Row             `json:"rows"`
	Goals   []Goal            `json:"goals"`
	// Against compares the present figures with those of earlier revisions.
	Against []Pair `json:"against,omitempty"`
}

// Setting is a setting of the run.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Row is the summary of a figure over all rounds.
type Row struct {
	Measurement string `json:"measurement"`
	Figure      string `json:"figure"`
	Unit        string `json:"unit"`
	statistics.Summary
	// Of is the name of the divisor of Ratio, which is computed in each round.
	Of    string              `json:"of,omitempty"`
	Ratio *statistics.Summary `json:"ratio,omitempty"`
}

// Digest computes rows, goals and pairs from the samples.
func (r *Report) Digest() {
	r.Rows = rowsOf(r.Samples)
	for i := range r.Rows {
		compare(&r.Rows[i], r.Samples)
	}
	r.Goals = goalsOf(r.Samples)
	r.Against = pairsOf(r.Rows, r.Samples)
}

// rowsOf returns the rows in the order of the first samples.
func rowsOf(samples []measure.Sample) []Row {
	var rows []Row
	seen := map[[2]string]bool{}
	for _, s := range samples {
		for _, f := range s.Figures {
			key := [2]string{s.Measurement, f.Name}
			if seen[key] {
				continue
			}
			seen[key] = true
			var values []float64
			for _, v := range ByRound(samples, s.Measurement, f.Name) {
				values = append(values, v)
			}
			rows = append(rows, Row{Measurement: s.Measurement, Figure: f.Name, Unit: f.Unit, Summary: statistics.Summarize(values)})
		}
	}
	return rows
}

// ByRound returns the values of a figure by round.
func ByRound(samples []measure.Sample, measurement, figure string) map[int]float64 {
	values := map[int]float64{}
	for _, s := range samples {
		if v, ok := s.Value(figure); ok && s.Measurement == measurement {
			values[s.Round] = v
		}
	}
	return values
}

// Write writes the report as JSON and returns the file's name without its suffix.
func (r *Report) Write(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return "", fmt.Errorf("encode the report: %w", err)
	}
	base := filepath.Join(dir, r.Began.UTC().Format("20060102T150405Z"))
	return base, os.WriteFile(base+".json", append(raw, '\n'), 0o644)
}
