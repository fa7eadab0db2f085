package main

import (
	"slices"
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

func TestQuickRunSkipsSlowBuilds(t *testing.T) {
	const slow = "http/traefik"
	for what, c := range map[string]struct {
		options options
		want    bool
	}{
		"full":        {options{}, true},
		"quick":       {options{Quick: true}, false},
		"quick, only": {options{Quick: true, Only: []string{slow}}, true},
	} {
		selected, err := newBench(c.options, t.TempDir()).selection()
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(measure.Names(selected), slow); got != c.want {
			t.Errorf("%s: measures %s: %t, want %t", what, slow, got, c.want)
		}
	}
}
