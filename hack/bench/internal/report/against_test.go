package report

import (
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// comparedReport returns a run of three rounds in which the present services are faster than
// those of abc1234, on a machine that was twice as fast in the second round.
func comparedReport() *Report {
	r := &Report{Run: Run{Rounds: 3, Seconds: 1}, Samples: []measure.Sample{
		sample(1, "http/gateway-token", "requests", 110), sample(1, "http/gateway-token@abc1234", "requests", 100),
		sample(2, "http/gateway-token@abc1234", "requests", 200), sample(2, "http/gateway-token", "requests", 240),
		sample(3, "http/gateway-token", "requests", 130), sample(3, "http/gateway-token@abc1234", "requests", 100),
		sample(1, "shop/uniform", "decided p99", 200), sample(1, "shop/uniform@abc1234", "decided p99", 400),
		sample(1, "shop/uniform", "redo log", 7), sample(1, "shop/uniform@abc1234", "redo log", 8),
		sample(1, "http/nginx", "requests", 300),
		sample(1, "http/gateway", "requests", 100), sample(2, "http/gateway@abc1234", "requests", 100),
	}}
	r.Digest()
	return r
}

func TestTwinsAreComparedWithPresent(t *testing.T) {
	for _, row := range comparedReport().Rows {
		_, commit := measure.Present(row.Measurement)
		if row.Measurement == "http/gateway@abc1234" {
			continue // No round has both sides.
		}
		if isTwin := commit != ""; isTwin != (row.Of == "now") || isTwin && row.Ratio == nil {
			t.Errorf("%s %s has a ratio of %+v to %q, want a ratio to now for twins only", row.Measurement, row.Figure, row.Ratio, row.Of)
		}
	}
}

func TestGoalsIgnoreTwins(t *testing.T) {
	if goals := figuresOf([]measure.Sample{sample(1, "shop/uniform@abc1234", "decided p99", 100)}).goals(); len(goals) != 0 {
		t.Errorf("goals %+v of an earlier revision, want none", goals)
	}
}

func TestEarlierRevisionsAreComparedInOneTable(t *testing.T) {
	var b strings.Builder
	comparedReport().Print(&b)
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	at := func(want string) int {
		t.Helper()
		i := slices.Index(lines, want)
		if i < 0 {
			t.Fatalf("no line %q in\n%s", want, b.String())
		}
		return i
	}
	at("decided p99 200 /s") // The table of scenarios has only the present revision.
	// The ratios of the rounds are 110/100, 240/200 and 130/100. The redo log is not compared, nor
	// http/gateway, of which no round has both sides.
	pairs := lines[at("Against earlier revisions")+1:]
	want := []string{"then now now to then", "http/gateway-token@abc1234 requests 100 130 /s 1.20 (1.10 .. 1.30)", "shop/uniform@abc1234 decided p99 400 200 /s 0.50"}
	if !slices.Equal(pairs, want) {
		t.Errorf("compared:\n%s\nwant:\n%s", strings.Join(pairs, "\n"), strings.Join(want, "\n"))
	}
}
