package report

import (
	"maps"
	"slices"

	"gonum.org/v1/gonum/stat"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// Summary summarizes a figure over the rounds.
type Summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// byRound are the values of a figure by round.
type byRound map[int]float64

func (v byRound) summary() Summary {
	n := len(v)
	if n == 0 {
		return Summary{}
	}
	sorted := slices.Sorted(maps.Values(v))
	// The mean of the two middle values, which are the same one if their number is odd.
	return Summary{Median: stat.Mean([]float64{sorted[(n-1)/2], sorted[n/2]}, nil), Min: sorted[0], Max: sorted[n-1], N: n}
}

// over returns the ratios to other values of the same rounds. Rounds that are missing on one
// side or have the divisor 0 are skipped.
func (v byRound) over(to byRound) byRound {
	ratios := byRound{}
	for round, of := range v {
		if divisor := to[round]; divisor != 0 {
			ratios[round] = of / divisor
		}
	}
	return ratios
}

// best returns the largest value, which is positive, of the figures in each round.
func best(figures ...byRound) byRound {
	all := byRound{}
	for _, f := range figures {
		for round, v := range f {
			all[round] = max(all[round], v)
		}
	}
	return all
}

// figures are the values of all figures, by the names of measurement and figure.
type figures map[[2]string]byRound

func figuresOf(samples []measure.Sample) figures {
	all := figures{}
	for _, s := range samples {
		for _, f := range s.Figures {
			key := [2]string{s.Measurement, f.Name}
			if all[key] == nil {
				all[key] = byRound{}
			}
			all[key][s.Round] = f.Value
		}
	}
	return all
}

func (f figures) of(measurement, figure string) byRound { return f[[2]string{measurement, figure}] }
