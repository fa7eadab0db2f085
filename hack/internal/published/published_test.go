package published

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// required returns a module that this repository requires, so that nothing is downloaded.
func required(t *testing.T) string {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/alecthomas/kong").Output()
	if err != nil {
		t.Fatal(err)
	}
	return "github.com/alecthomas/kong@" + strings.TrimSpace(string(version))
}

func TestBuildAddsFilesThatTheModuleLacks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "program")
	p := Program{Module: required(t), Package: "./added", Add: map[string]string{
		"added/main.go": "package main\n\nimport _ \"embed\"\n\n//go:embed text\nvar text string\n\nfunc main() { print(text) }\n",
		"added/text":    "embedded",
	}}
	if err := p.Build(t.Context(), "go", file, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), file).CombinedOutput(); err != nil || string(out) != "embedded" {
		t.Errorf("the program printed %q, %v; want the added file", out, err)
	}
}

func TestFailedBuildWritesNoFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "program")
	p := Program{Module: required(t), Package: "./missing"}
	if err := p.Build(t.Context(), "go", file, func(string) {}); err == nil || !strings.Contains(err.Error(), "./missing") {
		t.Errorf("build of a missing package: %v, want an error that names it", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a failed build wrote a file")
	}
}

func TestBuildReportsUnknownModule(t *testing.T) {
	err := Program{Module: "no-such-module@v1.0.0", Package: "."}.Build(t.Context(), "go", filepath.Join(t.TempDir(), "program"), func(string) {})
	if err == nil || !strings.Contains(err.Error(), "download no-such-module@v1.0.0") {
		t.Errorf("error %v, want one that names the module", err)
	}
}
