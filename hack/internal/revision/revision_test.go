package revision_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/revision"
)

// checkout is a git checkout with the files a, b and c.
func checkout(t *testing.T) (root string, git func(...string) string) {
	t.Helper()
	root = t.TempDir()
	git = func(arguments ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com"}, arguments...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-11-27T20:30:31+01:00")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", arguments, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	for _, name := range []string{"a", "b", "c"} {
		write(t, filepath.Join(root, name), name)
		git("add", name)
		git("commit", "-qm", name)
	}
	return root, git
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRevisionIsThatOfTheFiles(t *testing.T) {
	t.Parallel()
	root, git := checkout(t)
	of := func(files ...string) revision.Revision {
		t.Helper()
		r, err := revision.Of(root, files)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	b := git("rev-parse", "HEAD~1")
	want := revision.Revision{Version: "0.0.0-20261127193031-" + b[:12], Commit: b}
	if got := of("a", "b"); got != want {
		t.Errorf("the revision of a and b is %+v, want %+v", got, want)
	}
	write(t, filepath.Join(root, "c"), "changed")
	if got := of("a", "b"); got != want {
		t.Errorf("after a change of c it is %+v, want %+v", got, want)
	}
	if got := of("b", "c"); !strings.HasSuffix(got.Commit, "-dirty") || !strings.HasSuffix(got.Version, "-dirty") {
		t.Errorf("with a change that is not committed it is %+v, want -dirty", got)
	}
	git("commit", "-qam", "c again")
	git("tag", "v1.2.3")
	if got := of("a", "b"); got != (revision.Revision{Version: "1.2.3", Commit: b}) {
		t.Errorf("of a release it is %+v, want 1.2.3", got)
	}
	outside, err := revision.Of(t.TempDir(), []string{"a"})
	if err != nil || outside != revision.Unknown {
		t.Errorf("outside of git it is %+v, %v; want %+v", outside, err, revision.Unknown)
	}
	if _, err := revision.Of(root, nil); err == nil {
		t.Error("no files have a revision")
	}
}

func TestSourcesAreTheFilesThatABuildReads(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	all, err := revision.SourcesByPackage("go", "../../../services", "./sales", "./stock")
	if err != nil {
		t.Fatal(err)
	}
	files := all["./sales"]
	if stock := all["./stock"]; !slices.Contains(stock, filepath.Join(root, "services/stock/main.go")) || slices.Contains(stock, filepath.Join(root, "services/sales/main.go")) {
		t.Errorf("the sources of stock are %q", stock)
	}
	for name, want := range map[string]bool{
		"services/sales/main.go": true, "services/sales/internal/sale/sale.go": true, "services/event/event.go": true,
		"services/sales/internal/mysql/migrations/00001_sales.sql": true, "services/go.mod": true, "services/go.sum": true,
		"services/sales/main_test.go": false, "services/stock/main.go": false, "README.md": false,
	} {
		path := filepath.Join(root, name)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if slices.Contains(files, path) != want {
			t.Errorf("%s: listed %v, want %v", name, !want, want)
		}
	}
	if files, err := revision.Sources("go", filepath.Join(root, "services"), "./missing"); err == nil {
		t.Errorf("a package that does not exist has the sources %v", files)
	}
}

func TestVersionsAreChecked(t *testing.T) {
	t.Parallel()
	for v, valid := range map[string]bool{"v1.2.3": true, "1.2.3-rc.1": true, "": false, "1.2": false, "1.2.3; rm": false} {
		if err := revision.CheckVersion(v); (err == nil) != valid {
			t.Errorf("%q: %v, want valid %v", v, err, valid)
		}
	}
}
