package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// module writes a module with a fuzz target with the given body.
func module(t *testing.T, body string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example.com/fuzzed\n\ngo 1.26\n",
		"a_test.go": "package fuzzed\n\nimport \"testing\"\n\nfunc FuzzA(f *testing.F) {\n\tf.Add(\"bad\")\n" +
			"\tf.Fuzz(func(t *testing.T, s string) {\n" + body + "\t})\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEveryTargetRunsAndARefusedInputFails(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles with instrumentation; not part of a -short run")
	}
	t.Setenv("GOWORK", "off")
	var out strings.Builder
	if err := (fuzzCommand{Scale: 1, Limit: 10 * time.Minute, Only: ".", Modules: []string{module(t, "")}}).Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "example.com/fuzzed.FuzzA") || !strings.Contains(out.String(), "in 1 targets, none rejected") {
		t.Errorf("printed %q", out.String())
	}
	broken := module(t, "\t\tif s == \"bad\" {\n\t\t\tt.Fatal(\"refused\")\n\t\t}\n")
	if err := (fuzzCommand{Scale: 1, Limit: 10 * time.Minute, Only: ".", Modules: []string{broken}}).Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a refused input: %v, want its failure", err)
	}
	if err := (fuzzCommand{Scale: 0, Only: ".", Modules: []string{broken}}).Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "--scale is 0") {
		t.Errorf("no inputs: %v, want an error that names --scale", err)
	}
	if err := (fuzzCommand{Scale: 1, Limit: 10 * time.Minute, Only: "Nothing", Modules: []string{broken}}).Run(t.Context(), io.Discard); err == nil {
		t.Error("no target at all is no failure")
	}
}
