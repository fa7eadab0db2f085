package main

import (
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/revision"
)

// selectWithRevisions returns the selected measurements of a run with two earlier revisions.
func selectWithRevisions(t *testing.T, only string) (*bench, []measure.Measurement) {
	t.Helper()
	b := newBench(options{Rounds: 1, Only: []string{only}}, t.TempDir())
	b.compareWith([]revision.Revision{{Commit: "aaaaaaa"}, {Commit: "bbbbbbb"}})
	selected, err := b.selection()
	if err != nil {
		t.Fatal(err)
	}
	return b, selected
}

func TestTwinsFollowPresentMeasurements(t *testing.T) {
	for only, want := range map[string][]string{
		"http/gateway-token": {"http/gateway-token", "http/gateway-token@aaaaaaa", "http/gateway-token@bbbbbbb"},
		"cached": {"http/nginx-cached", "http/varnish-cached",
			"http/gateway-cached", "http/gateway-cached@aaaaaaa", "http/gateway-cached@bbbbbbb"},
		"hot":           {"saga/each-hot", "saga/together-hot", "shop/hot", "shop/hot@aaaaaaa", "shop/hot@bbbbbbb"},
		"rest/services": {"rest/services"},
	} {
		if _, selected := selectWithRevisions(t, only); !slices.Equal(measure.Names(selected), want) {
			t.Errorf("--only %s measures %v, want %v", only, measure.Names(selected), want)
		}
	}
}

func TestAgainstWithoutComparisonIsRejected(t *testing.T) {
	for only, rejected := range map[string]bool{"http/nginx": true, "saga": true, "http/gateway": false, "shop/holds": false} {
		b, selected := selectWithRevisions(t, only)
		err := b.preflight(selected)
		if got := err != nil && strings.Contains(err.Error(), "select one with --only"); got != rejected {
			t.Errorf("--against with --only %s: %v; want an error with the fix: %t", only, err, rejected)
		}
	}
}

func TestAgainstIsValidated(t *testing.T) {
	valid := options{Rounds: 1, Seconds: 1, Products: []int64{1000}, Sales: []int64{1}, Replicas: []int64{1}, Against: []string{"HEAD~3"}}
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	growing := valid
	growing.Growth = true
	if err := growing.Validate(); err == nil || !strings.Contains(err.Error(), "--against") {
		t.Errorf("growing sizes: %v, want an error about --against", err)
	}
}
