package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// tokens returns a run with proxies at requests with and without tokens.
func tokens() []measure.Sample {
	return []measure.Sample{
		sample(1, "http/origin", "requests", 200), sample(1, "http/origin-token", "requests", 100),
		sample(1, "http/nginx", "requests", 80), sample(1, "http/nginx-token", "requests", 50),
		sample(1, "http/caddy", "requests", 30), sample(1, "http/go-reverseproxy", "requests", 40), sample(1, "http/go-reverseproxy-token", "requests", 20),
		sample(1, "http/gateway", "requests", 90), sample(1, "http/gateway-token", "requests", 60), sample(1, "http/gateway-token@abc1234", "requests", 30),
	}
}

func TestProxiesAreComparedWithOriginAtSameRequests(t *testing.T) {
	without := tokens()
	without = append(without[:1], without[2:]...)
	for name, c := range map[string]struct {
		samples []measure.Sample
		want    map[string]string
	}{
		"with those requests": {tokens(), map[string]string{"http/origin": "", "http/origin-token": "origin", "http/nginx": "origin", "http/nginx-token": "origin-token",
			"http/gateway": "origin", "http/gateway-token": "origin-token", "http/gateway-token@abc1234": "now"}},
		"without them": {without, map[string]string{"http/nginx-token": "origin", "http/gateway-token": "origin", "http/gateway-token@abc1234": "now"}},
	} {
		r := &Report{Samples: c.samples}
		r.Digest()
		for measurement, want := range c.want {
			row, ok := find(r.Rows, measurement, "requests")
			if !ok || row.Of != want {
				t.Errorf("%s: %s is compared with %q, want %q", name, measurement, row.Of, want)
			}
		}
	}
	r := &Report{Samples: tokens()}
	r.Digest()
	if row, _ := find(r.Rows, "http/nginx-token", "requests"); row.Ratio == nil || row.Ratio.Median != .5 {
		t.Errorf("nginx has a ratio of %+v to the origin at the same requests, want 0.5", row.Ratio)
	}
}

func TestGatewayGoalsAtTheSameRequests(t *testing.T) {
	wantGoals(t, figuresOf(tokens()).goals(), []Goal{
		{What: "requests with token and limits against the origin, same requests", Want: .45, Summary: Summary{Median: .6}},
		{What: "requests with token and limits against Go's ReverseProxy, same requests", Want: 1.6, Summary: Summary{Median: 3}},
	})
}

func TestGatewayGoalsAgainstEngineChange(t *testing.T) {
	samples := []measure.Sample{
		sample(1, "http/gateway-token", "requests", 90), sample(1, "http/gateway-token@58c1c4a", "requests", 100),
		sample(1, "http/gateway-cached", "requests", 60), sample(1, "http/gateway-cached@58c1c4a", "requests", 100),
		sample(1, "shop/uniform", "orders", 99), sample(1, "shop/uniform@58c1c4a0", "orders", 100), // a longer abbreviation of the commit
		sample(1, "http/gateway-token@abc1234", "requests", 10), sample(1, "shop/hot@58c1c4a", "orders", 100),
	}
	wantGoals(t, figuresOf(samples).goals(), []Goal{
		{What: "requests with token and limits against 58c1c4a", Want: .9, Summary: Summary{Median: .9}},
		{What: "cached reads against 58c1c4a", Want: .8, Summary: Summary{Median: .6}},
		{What: "orders through the gateway, uniform, against 58c1c4a", Want: .95, Summary: Summary{Median: .99}},
	})
}

func wantGoals(t *testing.T, got, want []Goal) {
	t.Helper()
	ignored := cmpopts.IgnoreFields(Summary{}, "Min", "Max", "N")
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Errorf("goals (-want +got):\n%s", diff)
	}
}
