// Package measure defines measurements, which are baselines or scenarios with a name and
// figures, and runs them in rounds. All measurements of a round run one after the other,
// so that other load on the machine affects all of them. Ratios are computed within a
// round.
package measure

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Figure is a value of a measurement.
type Figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

// Measurement is a baseline or a scenario.
type Measurement interface {
	// Name returns a group and a name in it, such as "saga/together-hot".
	Name() string
	// About returns a description in one line.
	About() string
	// Measure runs for about d and returns its figures, the most important one first.
	// Nothing keeps running afterwards.
	Measure(ctx context.Context, d time.Duration) ([]Figure, error)
}

// Sample contains the figures of a measurement in a round.
type Sample struct {
	Measurement string    `json:"measurement"`
	Round       int       `json:"round"` // from 1
	Began       time.Time `json:"began"`
	Seconds     float64   `json:"seconds"`
	Figures     []Figure  `json:"figures"`
}

// Value returns the value of a figure and reports whether it exists.
func (s Sample) Value(name string) (float64, bool) {
	for _, f := range s.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}

// Select returns the measurements whose name contains or matches (path.Match) one of the
// patterns, or all if there are no patterns. It returns an error for a pattern without a
// match.
func Select(all []Measurement, patterns []string) ([]Measurement, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	isSelected := make([]bool, len(all))
	for _, p := range patterns {
		found := false
		for i, m := range all {
			if matches(p, m.Name()) {
				isSelected[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("no measurement matches %q: use one of %s", p, strings.Join(Names(all), ", "))
		}
	}
	var selected []Measurement
	for i, m := range all {
		if isSelected[i] {
			selected = append(selected, m)
		}
	}
	return selected, nil
}

func matches(pattern, name string) bool {
	if whole, err := path.Match(pattern, name); err == nil && whole {
		return true
	}
	return strings.Contains(name, pattern)
}

// Names returns the names of measurements.
func Names(all []Measurement) []string {
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.Name()
	}
	return names
}

// Order returns the order of n measurements in a round (from 1). It alternates, so that a
// measurement does not always follow the same other one.
func Order(n, round int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if round%2 == 0 {
		slices.Reverse(order)
	}
	return order
}

// Step calls do, which runs a measurement, and shows its progress. number counts the
// measurements of all rounds from 1.
type Step func(number int, m Measurement, round int, do func() ([]Figure, error)) error

// Run runs all measurements once in each round. It returns the samples so far also with an
// error.
func Run(ctx context.Context, rounds int, d time.Duration, all []Measurement, step Step) ([]Sample, error) {
	var samples []Sample
	for round := 1; round <= rounds; round++ {
		for _, i := range Order(len(all), round) {
			s := Sample{Measurement: all[i].Name(), Round: round, Began: time.Now()}
			err := step(len(samples)+1, all[i], round, func() (figures []Figure, err error) {
				s.Figures, err = all[i].Measure(ctx, d)
				return s.Figures, err
			})
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return samples, fmt.Errorf("%s: %w", s.Measurement, err)
			}
			s.Seconds = time.Since(s.Began).Seconds()
			samples = append(samples, s)
		}
	}
	return samples, nil
}
