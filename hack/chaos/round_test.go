package main

import (
	"os"
	"slices"
	"testing"
	"time"

	proc "ecommerce-stack.dev/hack/internal/process"
	"ecommerce-stack.dev/hack/internal/progress"
)

// TestRoundLeavesNothing runs a short round, and searches for processes and files after it. It is not
// parallel, because the processes of other tests would be found.
func TestRoundLeavesNothing(t *testing.T) { //nolint:paralleltest // see above
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	results, err := runRounds(t.Context(), rootOf(t), options{Seed: 1, Rounds: 1, Length: 8 * time.Second, Duration: time.Minute}, nil, progress.New(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || results[0].Sales == 0 || len(results[0].Faults) == 0 {
		t.Errorf("results %+v, want one round with sales and faults", results)
	}
	for _, res := range results {
		for _, v := range res.Violations {
			t.Error(v)
		}
	}
	if children, err := proc.Children(os.Getpid()); err != nil || len(children) > 0 {
		t.Errorf("processes %v remain: %v", children, err)
	}
	files, err := os.ReadDir(temporary)
	if err != nil || slices.ContainsFunc(files, func(f os.DirEntry) bool { return f.Name() != "go-build" }) {
		t.Errorf("files %v remain: %v", files, err)
	}
}
