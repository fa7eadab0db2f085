package main

import (
	"os"
	"path/filepath"
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

// TestTracedIsTheSameRevision measures the present files as a revision of its own, which is not
// removed afterwards.
func TestTracedIsTheSameRevision(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "go.work"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(options{Traced: true, Only: []string{"http/gateway-token", "shop/uniform"}}, root)
	if err := b.resolveRevisions(t.Context()); err != nil {
		t.Fatal(err)
	}
	selected, err := b.selection()
	if err != nil {
		t.Fatal(err)
	}
	names := measure.Names(selected)
	for _, want := range []string{"http/gateway-token", "http/gateway-token@traced", "shop/uniform", "shop/uniform@traced"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q are measured, want %s too", names, want)
		}
	}
	traced := b.earlier[0]
	if err := traced.revision.Extract(t.Context(), root); err != nil || traced.revision.Root != root {
		t.Errorf("the files are those of %s, %v; want %s", traced.revision.Root, err, root)
	}
	if env := strings.Join(traced.revision.Env, " "); !strings.Contains(env, b.receiver.URL) || !strings.Contains(env, "OTEL_TRACES_SAMPLER_ARG=1") {
		t.Errorf("environment %s", env)
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.work")); err != nil {
		t.Errorf("the present files are removed: %v", err)
	}
	if err := (&options{Rounds: 1, Seconds: 1, Traced: true, Growth: true}).Validate(); err == nil {
		t.Error("--growth measures traces")
	}
}
