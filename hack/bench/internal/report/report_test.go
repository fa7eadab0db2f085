package report

import (
	"maps"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

func sample(round int, measurement, figure string, v float64) measure.Sample {
	return measure.Sample{Measurement: measurement, Round: round, Figures: []measure.Figure{{Name: figure, Unit: "/s", Value: v}}}
}

func TestRatiosWithinRound(t *testing.T) {
	// The machine was twice as fast in round 2, which must not affect the ratio.
	r := &Report{Samples: []measure.Sample{
		sample(1, "saga/each-uniform", "orders", 50), sample(1, "saga/together-uniform", "orders", 100), sample(1, "shop/uniform", "orders", 40),
		sample(2, "shop/uniform", "orders", 90), sample(2, "saga/together-uniform", "orders", 180), sample(2, "saga/each-uniform", "orders", 200),
		sample(3, "saga/each-uniform", "orders", 50), sample(3, "saga/together-uniform", "orders", 100), sample(3, "shop/uniform", "orders", 42),
	}}
	r.Digest()
	for _, row := range r.Rows {
		if row.Measurement != "shop/uniform" {
			continue
		}
		// 40/100, 90/200, 42/100.
		if row.Ratio == nil || row.Ratio.Median != .42 || row.Ratio.Max != .45 || row.Of != "best B4 uniform" {
			t.Errorf("ratio %+v of %q, want a median of 0.42 and a maximum of 0.45 of the best B4 of each round", row.Ratio, row.Of)
		}
		if row.Median != 42 || row.N != 3 {
			t.Errorf("median %v of %d, want 42 of 3", row.Median, row.N)
		}
	}
	if len(r.Goals) != 1 || r.Goals[0].Median != .42 || r.Goals[0].Met() {
		t.Errorf("goals %+v, want the measured one, missed at 0.42", r.Goals)
	}
}

func TestGoalAtMost(t *testing.T) {
	for v, met := range map[float64]bool{249: true, 250: true, 251: false} {
		goals := figuresOf([]measure.Sample{sample(1, "shop/uniform", "decided p99", v)}).goals()
		if len(goals) != 1 || goals[0].Met() != met {
			t.Errorf("decided within %v ms: %+v, want met to be %t", v, goals, met)
		}
	}
}

func TestProxyLineContainsAllFigures(t *testing.T) {
	r := &Report{Samples: []measure.Sample{{Measurement: "http/gateway", Round: 1, Figures: []measure.Figure{
		{Name: "requests", Unit: "/s", Value: 1000}, {Name: "p50", Unit: "ms", Value: 1.5}, {Name: "p99", Unit: "ms", Value: 2.5},
		{Name: "CPU", Unit: "µs/request", Value: 20},
	}}}}
	r.Digest()
	var b strings.Builder
	r.Print(&b)
	for line := range strings.Lines(b.String()) {
		if cells := strings.Fields(line); strings.HasPrefix(line, "  http/gateway") && strings.Join(cells, " ") == "http/gateway 1,000 1.50 2.50 20.0" {
			return
		}
	}
	t.Errorf("printed\n%s", b.String())
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234.5: "1,234", 59_500: "59,500", 1_234_567: "1,234,567", -1234567: "-1,234,567"} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestColumnsAreAligned(t *testing.T) {
	var b strings.Builder
	table := &table{title: "Rates"}
	table.add("name", "n", "unit")
	table.add("µs", "1,234", "/s")
	table.write(&b, 1)
	if want := "\nRates\n  name      n  unit\n  µs    1,234    /s\n"; b.String() != want {
		t.Errorf("table\n%swant\n%s", b.String(), want)
	}
}

func TestSummary(t *testing.T) {
	for _, c := range []struct {
		values byRound
		want   Summary
	}{
		{byRound{1: 5, 2: 1, 3: 3}, Summary{Median: 3, Min: 1, Max: 5, N: 3}},
		{byRound{1: 4, 2: 1, 3: 3, 4: 2}, Summary{Median: 2.5, Min: 1, Max: 4, N: 4}},
		{nil, Summary{}},
	} {
		if got := c.values.summary(); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestRatiosNeedBothSidesOfARound(t *testing.T) {
	of, to := byRound{1: 10, 2: 30, 3: 7, 4: 1}, byRound{1: 20, 2: 30, 4: 0, 5: 2}
	if got, want := of.over(to), (byRound{1: .5, 2: 1}); !maps.Equal(got, want) {
		t.Errorf("ratios %v, want %v: rounds 3 and 5 have one side, round 4 divides by 0", got, want)
	}
}
