package report

import (
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// tokens is a run with proxies at requests with and without tokens.
func tokens() []measure.Sample {
	return []measure.Sample{
		sample(1, "http/origin", "requests", 200), sample(1, "http/origin-token", "requests", 100),
		sample(1, "http/nginx", "requests", 80), sample(1, "http/nginx-token", "requests", 50),
		sample(1, "http/caddy", "requests", 30), sample(1, "http/go-reverseproxy", "requests", 40), sample(1, "http/go-reverseproxy-token", "requests", 20),
		sample(1, "http/gateway", "requests", 90), sample(1, "http/gateway-token", "requests", 60), sample(1, "http/gateway-token@abc1234", "requests", 30),
	}
}

func TestAProxyIsComparedWithTheOriginAtTheSameRequests(t *testing.T) {
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

func TestTheGatewayWithTokensHasGoalsAtOtherAndAtTheSameRequests(t *testing.T) {
	const what = "gateway with token and limits against "
	got := goalsOf(tokens())
	for i, want := range []struct {
		what        string
		want, ratio float64
	}{
		{"the origin", .45, .3}, {"the best Go peer", 2, 1.5}, {"nginx", 1, .75},
		{"the origin, same requests", .45, .6}, {"Go's ReverseProxy, same requests", 2, 3}, {"nginx, same requests", 1, 1.2},
	} {
		if i >= len(got) || got[i].What != what+want.what || got[i].Want != want.want || got[i].Median != want.ratio {
			t.Errorf("goals %+v, want one of %+v at %d", got, want, i)
		}
	}
	if len(got) != 6 {
		t.Errorf("%d goals, want 6", len(got))
	}
}
