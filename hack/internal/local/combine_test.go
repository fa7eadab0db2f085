package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// writeFiles writes files by their paths below root.
func writeFiles(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// output runs a program that was built and returns what it prints.
func output(t *testing.T, s *System, folder, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(s.Dir, folder, name)).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestCombinedProgramRunsTheServiceOfItsName(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	files := map[string]string{"go.mod": "module ecommerce-stack.dev/services\n\ngo 1.26\n"}
	for _, name := range Services {
		files[name+"/main.go"] = fmt.Sprintf("// Command %[1]s is for a test.\npackage main\n\nfunc main() {\n\tprintln(title)\n}\n", name)
		files[name+"/title.go"] = fmt.Sprintf("package main\n\nconst title = \"this is %s\"\n", name)
		files[name+"/main_test.go"] = "package main_test\n"
	}
	writeFiles(t, filepath.Join(root, "services"), files)
	sources := []string{filepath.Join(root, "services", "go.mod")}
	s := &System{Dir: t.TempDir(), options: Options{Root: root, Combine: true}}
	build := func(folder string, services ...string) error {
		return s.buildTo(t.Context(), folder, sources, nil, services...)
	}

	for range 2 { // the second time over the programs of the first
		if err := build(binaries, Services...); err != nil {
			t.Fatal(err)
		}
		for _, name := range Services {
			if got := output(t, s, binaries, name); got != "this is "+name {
				t.Errorf("%s prints %q", name, got)
			}
		}
	}

	writeFiles(t, root, map[string]string{"services/sales/title.go": "package main\n\nconst title = 7 + \"\"\n"})
	want := filepath.Join("sales", "title.go:3:")
	if err := build(newBinaries, "stock", "sales"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("an error of the compiler: %v\nwant one at %s", err, want)
	}
	if got := output(t, s, binaries, "sales"); got != "this is sales" {
		t.Errorf("after a failed build sales prints %q", got)
	}

	if err := build(newBinaries, "auth"); err != nil {
		t.Errorf("a single service is built with another one: %v", err)
	}
	if got := output(t, s, newBinaries, "auth"); got != "this is auth" {
		t.Errorf("a single service prints %q", got)
	}
}
