// Package measure is what every baseline and every scenario has in common: a name,
// and figures that one short run of it gives. Measurements of one round follow each
// other, so that what the machine does meanwhile hits them all alike, and a ratio
// between two of them is taken within a round.
package measure

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Figure is one number of a measurement.
type Figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

// Measurement is a baseline or a scenario.
type Measurement interface {
	// Name is a group and a name in it, such as "saga/together-hot".
	Name() string
	// About says in a line what is measured.
	About() string
	// Measure runs for about d and returns its figures, the one that matters most
	// first. It leaves nothing running.
	Measure(ctx context.Context, d time.Duration) ([]Figure, error)
}

// Sample is what one measurement gave in one round.
type Sample struct {
	Measurement string    `json:"measurement"`
	Round       int       `json:"round"` // from 1
	Began       time.Time `json:"began"`
	Seconds     float64   `json:"seconds"`
	Figures     []Figure  `json:"figures"`
}

// Value of a figure.
func (s Sample) Value(name string) (float64, bool) {
	for _, f := range s.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}

// Select returns the measurements whose name, or a part of it, one of the patterns
// names; all without a pattern. A pattern may have wildcards (path.Match).
func Select(all []Measurement, patterns []string) ([]Measurement, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	wanted := make([]bool, len(all))
	for _, p := range patterns {
		found := false
		for i, m := range all {
			if names(p, m.Name()) {
				wanted[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("nothing to measure is named %q: take some of %s", p, strings.Join(Names(all), ", "))
		}
	}
	var selected []Measurement
	for i, m := range all {
		if wanted[i] {
			selected = append(selected, m)
		}
	}
	return selected, nil
}

func names(pattern, name string) bool {
	if whole, err := path.Match(pattern, name); err == nil && whole {
		return true
	}
	return strings.Contains(name, pattern)
}

// Names of measurements.
func Names(all []Measurement) []string {
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.Name()
	}
	return names
}

// Order is the order of n measurements in a round (from 1): there in one, back in the
// next, so that none always follows the same other one.
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

// Step runs a measurement of a round and shows that it does; number counts all of a
// run from 1.
type Step func(number int, m Measurement, round int, do func() ([]Figure, error)) error

// Run measures everything once a round. The samples that were taken are returned
// with the error that ended the run.
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
