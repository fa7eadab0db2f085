package language_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/language"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// excluded are the prefixes of files that must name retired terms.
var excluded = []string{"CHANGELOG.md", "hack/internal/language/"}

// isChecked reports whether a file is checked. Test data is not.
func isChecked(file string) bool {
	if slices.ContainsFunc(excluded, func(prefix string) bool { return strings.HasPrefix(file, prefix) }) || strings.Contains(file, "/testdata/") {
		return false
	}
	switch filepath.Base(file) {
	case "Makefile", "Tiltfile", "NOTES.txt":
		return true
	}
	return slices.Contains([]string{".go", ".md", ".yaml", ".yml", ".tpl", ".sh", ".cnf", ".conf"}, filepath.Ext(file)) || strings.HasPrefix(file, ".ci/")
}

func TestRetiredTermsAreNotUsed(t *testing.T) {
	t.Parallel()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Fatalf("list the files of the repository: %v", err)
	}
	for file := range strings.SplitSeq(string(out), "\x00") {
		if !isChecked(file) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, file))
		if os.IsNotExist(err) {
			continue // deleted, but not committed
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range language.Violations(file, string(content)) {
			t.Error(message)
		}
	}
}

func TestViolations(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"a\nif database.MayPass(err) {":                  `x.go:2: "MayPass" is retired: use "IsTransient"`,
		`counter{way=\"memory\"}`:                        `x.go:1: "way=\\\"memory" is retired: use "source=\"dispatcher\" or source=\"relay\""`,
		"Something this needs is away for the moment.":   `x.go:1: "is away for the moment" is retired: use "A dependency is temporarily unavailable. Retry later."`,
		"var amayPass, TestHearing, replying, warehouse": "",
	} {
		if got := strings.Join(language.Violations("x.go", content), "\n"); got != want {
			t.Errorf("%q: got %s, want %s", content, got, want)
		}
	}
}
