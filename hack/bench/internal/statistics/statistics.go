// Package statistics computes quantiles, summaries of figures over rounds, and ratios of
// two figures within each round.
package statistics

import (
	"math"
	"slices"
)

// Quantile returns the q-quantile of the sorted values by the nearest-rank method, so that
// the result is one of the values, or 0 without values.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// Median returns the median of the sorted values, or 0 without values.
func Median(sorted []float64) float64 {
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Summary summarizes a figure over the rounds.
type Summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// Summarize returns the summary of values in any order.
func Summarize(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Summary{Median: Median(sorted), Min: sorted[0], Max: sorted[len(sorted)-1], N: len(sorted)}
}

// Spread returns the difference of maximum and minimum divided by the median.
func (s Summary) Spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.Max - s.Min) / math.Abs(s.Median)
}

// Ratios returns the sorted ratios of the values of each round. Keys are rounds. Rounds
// that are missing on one side or have the divisor 0 are skipped.
func Ratios(of, to map[int]float64) []float64 {
	var ratios []float64
	for round, v := range of {
		if w, ok := to[round]; ok && w != 0 {
			ratios = append(ratios, v/w)
		}
	}
	slices.Sort(ratios)
	return ratios
}

// Best returns the largest value of the figures in each round.
func Best(figures ...map[int]float64) map[int]float64 {
	best := map[int]float64{}
	for _, f := range figures {
		for round, v := range f {
			if old, ok := best[round]; !ok || v > old {
				best[round] = v
			}
		}
	}
	return best
}
