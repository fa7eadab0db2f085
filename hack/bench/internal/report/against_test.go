package report

import (
	"encoding/json"
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
	}}
	r.Digest()
	return r
}

func TestPairRatiosWithinRounds(t *testing.T) {
	pairs := comparedReport().Against
	if len(pairs) != 2 {
		t.Fatalf("pairs %+v, want two: requests of the gateway and decision latency", pairs)
	}
	// 110/100, 240/200, 130/100.
	p := pairs[0]
	if p.Measurement != "http/gateway-token" || p.Commit != "abc1234" || p.Ratio.Median != 1.2 || p.Ratio.Min != 1.1 || p.Ratio.Max != 1.3 {
		t.Errorf("%+v, want 1.1 to 1.3 around 1.2 for the gateway against abc1234", p)
	}
	if p.Then.Median != 100 || p.Now.Median != 130 {
		t.Errorf("%v then and %v now, want 100 and 130", p.Then.Median, p.Now.Median)
	}
	if p := pairs[1]; p.Figure != "decided p99" || p.Ratio.Median != .5 {
		t.Errorf("%+v, want half of the decision latency", p)
	}
}

func TestTwinsAreComparedWithPresent(t *testing.T) {
	for _, row := range comparedReport().Rows {
		_, commit := measure.Present(row.Measurement)
		if isTwin := commit != ""; isTwin != (row.Of == "now") || isTwin && row.Ratio == nil {
			t.Errorf("%s %s has a ratio of %+v to %q, want a ratio to now for twins only", row.Measurement, row.Figure, row.Ratio, row.Of)
		}
	}
}

func TestPairsNeedFiguresOfOneRound(t *testing.T) {
	r := &Report{Samples: []measure.Sample{
		sample(1, "http/gateway", "requests", 100), sample(2, "http/gateway@abc1234", "requests", 100), sample(1, "shop/hot@abc1234", "orders", 100),
	}}
	if r.Digest(); len(r.Against) != 0 {
		t.Errorf("pairs %+v, want none", r.Against)
	}
}

func TestGoalsIgnoreTwins(t *testing.T) {
	if goals := figuresOf([]measure.Sample{sample(1, "shop/uniform@abc1234", "decided p99", 100)}).goals(); len(goals) != 0 {
		t.Errorf("goals %+v of an earlier revision, want none", goals)
	}
}

func TestEarlierRevisionsHaveSeparateTables(t *testing.T) {
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
	if then := at("Scenarios at abc1234; medians"); then < at("decided p99 200 /s") || then > at("decided p99 400 /s") {
		t.Errorf("the scenarios of the earlier revision have no separate table:\n%s", b.String())
	}
	if at("http/gateway-token@abc1234 requests 100 130 /s 1.20 (1.10 .. 1.30)") < at("Against earlier revisions") {
		t.Errorf("a pair is not in the section of pairs:\n%s", b.String())
	}
}

func TestJSONContainsPairs(t *testing.T) {
	raw, err := json.Marshal(comparedReport())
	if err != nil {
		t.Fatal(err)
	}
	if want := `"measurement":"http/gateway-token","figure":"requests","unit":"/s","commit":"abc1234"`; !strings.Contains(string(raw), want) {
		t.Errorf("no %s in %s", want, raw)
	}
}
