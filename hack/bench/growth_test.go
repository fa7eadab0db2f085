package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestGrowthDefaultsAndSpaceError(t *testing.T) {
	var o options
	parser, err := kong.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--growth"}); err != nil {
		t.Fatal(err)
	}
	bytes := o.growthSpace()
	if last := o.Sales[len(o.Sales)-1]; last != 10_000_000 || bytes < 40<<30 {
		t.Errorf("up to %d sales in %d MiB, want 10,000,000 in at least 40 GiB", last, bytes>>20)
	}
	if err := checkSpace(t.TempDir(), 1<<60); err == nil || !strings.Contains(err.Error(), "--sales 10000,1000000") {
		t.Errorf("%v, want an error that names smaller sizes", err)
	}
}
