package revision

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const program = "services/gateway/main.go"

// newRepository returns a repository with one commit without services and two with
// services.
func newRepository(t *testing.T) string {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	command(t, dir, "init", "--quiet")
	command(t, dir, "commit", "--quiet", "--allow-empty", "-m", "Begin")
	for _, content := range []string{"then", "now"} {
		write(t, filepath.Join(dir, program), content)
		command(t, dir, "add", ".")
		command(t, dir, "commit", "--quiet", "-m", "Serve "+content)
	}
	return dir
}

func command(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	identity := []string{"-C", dir, "-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"}
	if out, err := exec.Command("git", append(identity, arguments...)...).CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", arguments, err, out)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestExtractIgnoresWorkingTree(t *testing.T) {
	repository := newRepository(t)
	write(t, filepath.Join(repository, program), "not committed")
	found, err := Resolve(t.Context(), repository, []string{"HEAD~1", "HEAD"})
	if err != nil || len(found) != 2 || found[0].Name != "HEAD~1" || !strings.HasSuffix(found[0].About, "Serve then") {
		t.Fatalf("%+v, %v; want HEAD~1 and HEAD", found, err)
	}
	for i, want := range []string{"then", "now"} {
		r := &found[i]
		if err := r.Extract(t.Context(), repository); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(r.Root, program)); string(got) != want {
			t.Errorf("%s has %q (%v), want %q", r.Name, got, err, want)
		}
		if err := r.Remove(); err != nil {
			t.Error(err)
		}
	}
	checkNothingRemains(t)
}

func checkNothingRemains(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("files in the temporary folder: %v, %v; want none", left, err)
	}
}

func TestInterruptedExtractIsRemoved(t *testing.T) {
	repository := newRepository(t)
	found, err := Resolve(t.Context(), repository, []string{"HEAD"})
	if err != nil {
		t.Fatal(err)
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := found[0].Extract(interrupted, repository); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	if err := found[0].Remove(); err != nil {
		t.Error(err)
	}
	checkNothingRemains(t)
}

func TestResolveRemovesDuplicates(t *testing.T) {
	found, err := Resolve(t.Context(), newRepository(t), []string{"HEAD~1", "HEAD", "HEAD^"})
	var names []string
	for _, r := range found {
		names = append(names, r.Name)
	}
	if err != nil || !slices.Equal(names, []string{"HEAD~1", "HEAD"}) {
		t.Errorf("%v, %v; want HEAD~1 and HEAD", names, err)
	}
}

func TestErrorsNameTheFix(t *testing.T) {
	repository := newRepository(t)
	for what, c := range map[string]struct{ repository, name, want string }{
		"an unknown revision":          {repository, "no-such-tag", "git log --oneline --all"},
		"no name":                      {repository, "", "git log --oneline --all"},
		"a range":                      {repository, "HEAD~1..HEAD", "git log --oneline --all"},
		"an option":                    {repository, "--all", "git log --oneline --all"},
		"one before the services":      {repository, "HEAD~2", "use a later revision"},
		"no repository":                {t.TempDir(), "HEAD", "is not a git repository"},
		"a copy in another repository": {filepath.Join(repository, "services"), "HEAD", "is not a git repository"},
		"no repository, with the fix":  {t.TempDir(), "HEAD", "run the bench in a clone, or omit --against"},
	} {
		if found, err := Resolve(t.Context(), c.repository, []string{c.name}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want an error with %q", what, found, err, c.want)
		}
	}
}
