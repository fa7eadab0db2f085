package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/gobuild"
	"ecommerce-stack.dev/hack/internal/workspace"
)

func rootOf(t *testing.T) string {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestOverlayRequiresTheTextOnce(t *testing.T) {
	t.Parallel()
	root := rootOf(t)
	for name, old := range map[string]string{"a text that is missing": "no such text", "a text that occurs often": "return"} {
		if _, err := writeOverlay(root, t.TempDir(), []edit{{"services/internal/outbox/outbox.go", old, ""}}); err == nil {
			t.Errorf("%s is replaced", name)
		}
	}
}

// symbols returns the output of `go tool nm` for the service sales, built with flags.
func symbols(t *testing.T, flags ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sales")
	build := gobuild.Build{Go: "go", Dir: filepath.Join(rootOf(t), "services"), Env: []string{"CGO_ENABLED=0"}, Flags: flags, Output: file, Packages: []string{"./sales"}}
	if err := build.Run(context.WithoutCancel(t.Context()), func(string) {}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "tool", "nm", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestFailpointsAreOnlyInBuildsForFaults reads the symbols of a program as it is released, and of
// one with the overlay.
func TestFailpointsAreOnlyInBuildsForFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a service twice; not part of a -short run")
	}
	const symbol = "internal/failpoint."
	if strings.Contains(symbols(t), symbol) {
		t.Error("a release has failpoints")
	}
	flag, err := writeOverlay(rootOf(t), t.TempDir(), failpoints)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(symbols(t, flag), symbol) {
		t.Error("a build with the overlay has no failpoints")
	}
	if _, err := os.Stat(filepath.Join(rootOf(t), "services/internal/failpoint")); !os.IsNotExist(err) {
		t.Errorf("the package of failpoints is in the tree: %v", err)
	}
}

func TestEveryPointIsInTheSources(t *testing.T) {
	t.Parallel()
	var added strings.Builder
	for _, e := range failpoints {
		added.WriteString(e.New)
	}
	for _, point := range append(slices.Clone(points), withStocksLocked) {
		if strings.Count(added.String(), `hit("`+point+`")`) != 1 {
			t.Errorf("the point %q is not hit in one place", point)
		}
	}
}
