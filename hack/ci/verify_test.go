package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// checkout creates a repository with a file that a generator writes, an edit and a new file
// that are not committed, and a deleted one.
func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"source": "1", "generated": "old", "deleted": "", ".gitignore": "/_out/\n/ignored\n", "nested/script": "#!/bin/sh\n",
	} {
		write(t, root, name, content)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"},
		{"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first"}} {
		if out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", root}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	write(t, root, "source", "2")
	write(t, root, "new", "3")
	if err := os.Remove(filepath.Join(root, "deleted")); err != nil {
		t.Fatal(err)
	}
	return root
}

func write(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}

// generator writes what belongs to the source, and a file that git ignores.
const generator = `cat source new >generated; echo x >ignored; test ! -e deleted; test -x nested/script`

func TestVerifyComparesWithGeneratedFilesInACopy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ generated, command, want string }{
		"up to date, not committed": {"23", generator, ""},
		"out of date":               {"22", generator, "out of date:\n  generated\nThe fix is `make generate tidy`"},
		"another file":              {"23", generator + "; echo >other", "out of date:\n  other\n"},
		"a file less":               {"23", generator + "; rm nested/script", "out of date:\n  nested/script\n"},
		"a generator that fails":    {"23", "echo the reason; exit 3", "the reason"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := checkout(t)
			write(t, root, "generated", c.generated)
			before := status(t, root)
			var out strings.Builder
			err := verify(t.Context(), root, filepath.Join(root, "_out", "verify"), []string{"sh", "-ec", c.command}, &out)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if name == "out of date" && !strings.Contains(out.String(), "-22") {
				t.Errorf("the difference is not printed: %q", out.String())
			}
			if after := status(t, root); after != before {
				t.Errorf("the checkout has changed from\n%s\nto\n%s", before, after)
			}
		})
	}
}

func TestInterruptedVerifyLeavesTheCheckout(t *testing.T) {
	t.Parallel()
	root := checkout(t)
	before := status(t, root)
	ctx, interrupt := context.WithCancel(t.Context())
	copied := filepath.Join(root, "_out", "verify")
	ended := make(chan error)
	go func() {
		ended <- verify(ctx, root, copied, []string{"sh", "-c", "echo partly >generated; touch running; exec sleep 60"}, &strings.Builder{})
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(copied, "running")); err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended early: %v", err)
		case <-tick.C:
		}
	}
	interrupt()
	if err := <-ended; err == nil {
		t.Error("no error after an interrupt")
	}
	if after := status(t, root); after != before {
		t.Errorf("the checkout has changed from\n%s\nto\n%s", before, after)
	}
	write(t, root, "generated", "23")
	if err := verify(t.Context(), root, copied, []string{"sh", "-ec", generator}, &strings.Builder{}); err != nil {
		t.Errorf("the next run: %v", err)
	}
}

// status returns the state of a checkout, with the content of its changes.
func status(t *testing.T, root string) string {
	t.Helper()
	var all strings.Builder
	for _, args := range [][]string{{"status", "--porcelain", "--untracked-files=all"}, {"diff"}} {
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", root}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		all.Write(out)
	}
	return all.String()
}
