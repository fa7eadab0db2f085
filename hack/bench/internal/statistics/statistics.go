// Package statistics sums up what was measured: quantiles of latencies, the spread of
// a figure over the rounds, and ratios of two figures within each round.
package statistics

import (
	"math"
	"slices"
)

// Quantile is the smallest value that at least the share q of the sorted values does
// not exceed (the nearest rank), and 0 without values: it was really measured.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// Median is the middle of the sorted values, between the two middle ones when their
// number is even.
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

// Summary of a figure over the rounds.
type Summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// Summarise sums up values in any order.
func Summarise(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Summary{Median: Median(sorted), Min: sorted[0], Max: sorted[len(sorted)-1], N: len(sorted)}
}

// Spread is how far apart the extremes are, as a share of the median.
func (s Summary) Spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.Max - s.Min) / math.Abs(s.Median)
}

// Ratios divides the values of each round that both have; a round whose divisor is 0
// is left out. Keys are rounds.
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

// Best is the largest value of each round over several figures.
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
