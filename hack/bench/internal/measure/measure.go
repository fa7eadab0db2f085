// Package measure defines measurements, which are baselines or scenarios with a name and
// figures, and runs them in rounds. All measurements of a round run one after the other,
// so that other load on the machine affects all of them. Ratios are computed within a
// round.
package measure

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"ecommerce-stack.dev/hack/internal/progress"
)

// Figure is a value of a measurement.
type Figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

// Measurement is a baseline or a scenario.
type Measurement struct {
	// Name is a group and a name in it, such as "saga/together-hot". That of an earlier
	// revision ends with "@" and the commit.
	Name string
	// About is a description in one line.
	About string
	// Slow reports whether the first preparation takes minutes.
	Slow bool
	// Measure runs for about d and returns the figures, the most important one first.
	// Nothing keeps running afterwards.
	Measure func(ctx context.Context, d time.Duration) ([]Figure, error)
}

// Group returns the group of a name.
func Group(name string) string {
	group, _, _ := strings.Cut(name, "/")
	return group
}

// Twin returns the name of the same measurement, or peer, at an earlier commit. Without a
// commit it returns the name unchanged.
func Twin(name, commit string) string {
	if commit == "" {
		return name
	}
	return name + "@" + commit
}

// Present splits the name of a twin into the name of the present measurement and the
// commit, which is "" for the name of a present measurement.
func Present(name string) (present, commit string) {
	present, commit, _ = strings.Cut(name, "@")
	return present, commit
}

// Sample contains the figures of a measurement in a round.
type Sample struct {
	Measurement string    `json:"measurement"`
	Round       int       `json:"round"` // from 1
	Began       time.Time `json:"began"`
	Seconds     float64   `json:"seconds"`
	Figures     []Figure  `json:"figures"`
}

// Select returns the measurements whose name contains or matches (path.Match) one of the
// patterns, with their twins, or all if there are no patterns. It returns an error for a pattern
// without a match.
func Select(all []Measurement, patterns []string) ([]Measurement, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	selected := map[string]bool{}
	for _, p := range patterns {
		found := false
		for _, m := range all {
			name, _ := Present(m.Name)
			if whole, err := path.Match(p, name); err == nil && whole || strings.Contains(name, p) {
				selected[m.Name], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("no measurement matches %q: use one of %s", p, strings.Join(Names(all), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(m Measurement) bool { return !selected[m.Name] }), nil
}

// Names returns the names of measurements.
func Names(all []Measurement) []string {
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.Name
	}
	return names
}

// Run runs all measurements once in each round and shows the progress. The order alternates, so
// that a measurement does not always follow the same other one. Run returns the samples so far
// also with an error.
func Run(ctx context.Context, show *progress.Printer, rounds int, d time.Duration, all []Measurement) ([]Sample, error) {
	var samples []Sample
	order, total, start := slices.Clone(all), rounds*len(all), time.Now()
	for round := 1; round <= rounds; round++ {
		for _, m := range order {
			s, done := Sample{Measurement: m.Name, Round: round, Began: time.Now()}, len(samples)
			what := fmt.Sprintf("%d/%d round %d %s", done+1, total, round, m.Name)
			if done > 2 {
				what += fmt.Sprintf(", %s left", progress.Short(time.Since(start)/time.Duration(done)*time.Duration(total-done)))
			}
			err := show.Run(what, func(func(string)) (err error) {
				s.Figures, err = m.Measure(ctx, d)
				return errors.Join(err, ctx.Err())
			})
			if err != nil {
				return samples, fmt.Errorf("%s: %w", m.Name, err)
			}
			if len(s.Figures) > 0 {
				show.Printf("      %.1f %s %s", s.Figures[0].Value, s.Figures[0].Unit, s.Figures[0].Name)
			}
			s.Seconds = time.Since(s.Began).Seconds()
			samples = append(samples, s)
		}
		slices.Reverse(order)
	}
	return samples, nil
}
