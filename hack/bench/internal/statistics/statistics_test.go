package statistics

import (
	"maps"
	"slices"
	"testing"
)

func TestQuantileReturnsNearestRank(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{hundred, .50, 50}, {hundred, .95, 95}, {hundred, .99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
		{[]float64{7}, .99, 7}, {[]float64{1, 2}, .5, 1}, {[]float64{1, 2}, .51, 2}, {nil, .5, 0},
	} {
		if got := Quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %d values is %v, want %v", c.q, len(c.values), got, c.want)
		}
	}
}

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Summary
	}{
		{[]float64{5, 1, 3}, Summary{Median: 3, Min: 1, Max: 5, N: 3}},
		{[]float64{4, 1, 3, 2}, Summary{Median: 2.5, Min: 1, Max: 4, N: 4}},
		{nil, Summary{}},
	} {
		if got := Summarize(c.values); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
	if got := (Summary{Median: 10, Min: 8, Max: 13}).Spread(); got != .5 {
		t.Errorf("spread %v, want 0.5", got)
	}
}

func TestRatiosWithinRounds(t *testing.T) {
	of, to := map[int]float64{1: 10, 2: 30, 3: 7, 4: 1}, map[int]float64{1: 20, 2: 30, 4: 0, 5: 2}
	if got, want := Ratios(of, to), []float64{.5, 1}; !slices.Equal(got, want) {
		t.Errorf("ratios %v, want %v: rounds 3 and 5 have one side, round 4 divides by 0", got, want)
	}
}

func TestBestOfEachRound(t *testing.T) {
	got := Best(map[int]float64{1: 5, 2: 9}, map[int]float64{1: 7, 3: 2})
	if want := map[int]float64{1: 7, 2: 9, 3: 2}; !maps.Equal(got, want) {
		t.Errorf("best %v, want %v", got, want)
	}
}
