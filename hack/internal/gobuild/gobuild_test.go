package gobuild

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// program writes a module with a main package that imports n others.
func program(t *testing.T, n int) Build {
	t.Helper()
	dir := t.TempDir()
	main := "package main\n\nimport (\n"
	files := map[string]string{"go.mod": "module example.com/built\n\ngo 1.26\n"}
	for i := range n {
		files[fmt.Sprintf("p%d/p.go", i)] = fmt.Sprintf("package p%d\n", i)
		main += fmt.Sprintf("\t_ \"example.com/built/p%d\"\n", i)
	}
	files["main.go"] = main + ")\n\nfunc main() {}\n"
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Build{Go: "go", Dir: dir, Env: []string{"CGO_ENABLED=0", "GOWORK=off"}, Output: filepath.Join(dir, "built"), Packages: []string{"."}}
}

func TestPackagesAreCountedWhileTheyAreBuilt(t *testing.T) {
	t.Parallel()
	b := program(t, 4)
	if n, err := b.stale(t.Context()); err != nil || n != 5 {
		t.Errorf("%d packages to build, %v; want 5", n, err)
	}
	var details []string
	if err := b.Run(t.Context(), func(text string) { details = append(details, text) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(details, "5 packages") {
		t.Errorf("details %q", details)
	}
	if _, err := os.Stat(b.Output); err != nil {
		t.Error(err)
	}
	if n, err := b.stale(t.Context()); err != nil || n > 1 { // the main package, which is linked again
		t.Errorf("%d packages to build after a build, %v", n, err)
	}
}

func TestBuildWithoutProgress(t *testing.T) {
	t.Parallel()
	b := program(t, 1)
	if err := b.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.Output); err != nil {
		t.Error(err)
	}
}

func TestErrorHasTheOutputOfTheCompiler(t *testing.T) {
	t.Parallel()
	b := program(t, 1)
	if err := os.WriteFile(filepath.Join(b.Dir, "main.go"), []byte("package main\n\nfunc main() { missing() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context(), func(string) {}); err == nil || !strings.Contains(err.Error(), "undefined: missing") {
		t.Errorf("got %v", err)
	}
}

func TestDetailHasPackagesOrDownloadedBytes(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	for name, size := range map[string]int{"example.com/!big/@v/v1.2.3.zip": 1_500_000, "example.com/!big/@v/v1.2.3.ziphash": 44, "example.com/other/@v/v1.0.0.zip1234.tmp": 500_000} {
		path := filepath.Join(cache, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var last string
	r := &run{detail: func(text string) { last = text }, cache: cache, total: 7}
	for _, c := range []struct{ line, want string }{
		{"go: downloading example.com/Big v1.2.3", "1 modules downloaded, 1.5 MB"},
		{"go: downloading example.com/other v1.0.0", "2 modules downloaded, 2.0 MB"},
		{"example.com/a", "1 of 7 packages"},
		{"# example.com/a", "1 of 7 packages"},
		{"example.com/b", "2 of 7 packages"},
	} {
		if r.line(c.line); last != c.want {
			t.Errorf("%q: detail %q, want %q", c.line, last, c.want)
		}
	}
}
