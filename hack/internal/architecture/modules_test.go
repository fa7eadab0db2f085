package architecture_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestDependabotUpdatesEveryModule(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	content, err := os.ReadFile(filepath.Join(root, ".github", "dependabot.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var configuration struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directories []string
		}
	}
	if err := yaml.Unmarshal(content, &configuration); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, update := range configuration.Updates {
		if update.Ecosystem == "gomod" {
			listed = append(listed, update.Directories...)
		}
	}
	modules := folders(t, root)
	slices.Sort(listed)
	if !slices.Equal(listed, modules) {
		t.Errorf(".github/dependabot.yml lists %v, and the modules are %v", listed, modules)
	}
}

func TestDocumentationListsEveryModule(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	content, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(content), "## Modules\n")
	if !found {
		t.Fatal("docs/architecture.md has no section Modules")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	var listed []string
	for line := range strings.Lines(table) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			listed = append(listed, "/"+name)
		}
	}
	slices.Sort(listed)
	if modules := folders(t, root); !slices.Equal(listed, modules) {
		t.Errorf("docs/architecture.md lists %v, and the modules are %v", listed, modules)
	}
}

// folders returns the folders of the modules, sorted, each with a leading slash.
func folders(t *testing.T, root string) []string {
	t.Helper()
	var modules []string
	if err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "_out", "testdata"}, entry.Name()):
			return fs.SkipDir
		case entry.Name() == "go.mod":
			modules = append(modules, "/"+path.Dir(name))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(modules)
	return modules
}
