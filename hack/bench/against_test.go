package main

import (
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/revision"
)

// benchWithRevisions returns a bench with two earlier revisions.
func benchWithRevisions() *bench {
	return &bench{against: []*earlierSystem{{Revision: revision.Revision{Commit: "aaaaaaa"}}, {Revision: revision.Revision{Commit: "bbbbbbb"}}}}
}

func TestTwinsFollowPresentMeasurements(t *testing.T) {
	b := benchWithRevisions()
	for only, want := range map[string][]string{
		"http/gateway-token": {"http/gateway-token", "http/gateway-token@aaaaaaa", "http/gateway-token@bbbbbbb"},
		"cached": {"http/nginx-cached", "http/varnish-cached",
			"http/gateway-cached", "http/gateway-cached@aaaaaaa", "http/gateway-cached@bbbbbbb"},
		"hot":           {"saga/each-hot", "saga/together-hot", "shop/hot", "shop/hot@aaaaaaa", "shop/hot@bbbbbbb"},
		"rest/services": {"rest/services"},
	} {
		selected, err := measure.Select(b.measurements(), []string{only})
		if err != nil {
			t.Fatal(err)
		}
		if got := measure.Names(b.withTwins(selected)); !slices.Equal(got, want) {
			t.Errorf("--only %s measures %v, want %v", only, got, want)
		}
	}
}

func TestAgainstWithoutComparisonIsRejected(t *testing.T) {
	b := benchWithRevisions()
	for only, rejected := range map[string]bool{"http/nginx": true, "saga": true, "http/gateway": false, "shop/holds": false} {
		selected, err := measure.Select(b.measurements(), []string{only})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.checkAgainst(b.withTwins(selected)); (err != nil) != rejected || rejected && !strings.Contains(err.Error(), "--only") {
			t.Errorf("--against with --only %s: %v; want an error with the fix: %t", only, err, rejected)
		}
	}
}

func TestAgainstIsValidated(t *testing.T) {
	valid := options{Rounds: 1, Seconds: 1, Products: []int64{1000}, Sales: []int64{1}, Replicas: []int64{1}, Against: []string{"HEAD~3"}}
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	empty, growing := valid, valid
	empty.Against, growing.Growth = []string{"HEAD", ""}, true
	for what, o := range map[string]*options{"no revision": &empty, "growing sizes": &growing} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "--against") {
			t.Errorf("%s: %v, want an error about --against", what, err)
		}
	}
}
