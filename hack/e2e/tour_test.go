package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/console"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// tourTools are the programs that the tour may use: those of every Debian, and what `make up`
// needs or installs. kubectl and helm come from the variables that the tour sets.
var tourTools = []string{"bash", "sh", "make", "curl", "git", "grep", "sed", "awk", "head", "cut", "tr", "base64", "date", "cat", "uname", "id", "dirname", "env"}

// separator is printed before each command, and at the end. It has the exit code of the
// command before.
const separator = "=== step "

// TestTourOfTheReadmePrintsWhatItShows runs the commands of the tour twice, each time in a new
// shell without the variables of this one.
func TestTourOfTheReadmePrintsWhatItShows(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a cluster; not part of a -short run")
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := console.Section(string(readme), "A tour")
	if err != nil {
		t.Fatal(err)
	}
	// The tour follows `make up`, which builds kubectl and helm; another checkout may have
	// replaced them in the shared cache.
	if out, err := exec.CommandContext(t.Context(), "make", "-s", "-C", root, "env").CombinedOutput(); err != nil {
		t.Fatalf("make env: %v\n%s", err, out)
	}
	bin := t.TempDir()
	for _, name := range tourTools {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	var script strings.Builder
	for _, step := range steps {
		fmt.Fprintf(&script, "printf '\\n%s%%s\\n' $?\n%s\n", separator, step.Command)
	}
	fmt.Fprintf(&script, "printf '\\n%s%%s\\n' $?\n", separator)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		shell := exec.CommandContext(ctx, filepath.Join(bin, "bash"), "--noprofile", "--norc", "-c", script.String())
		shell.Dir, shell.WaitDelay = root, time.Second
		shell.Env = []string{"HOME=" + os.Getenv("HOME"), "PATH=" + bin}
		var out bytes.Buffer
		shell.Stdout, shell.Stderr = &out, &out
		if err := shell.Run(); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		parts := strings.Split(out.String(), "\n"+separator)
		if len(parts) != len(steps)+2 {
			t.Fatalf("%d commands have run, want %d\n%s", len(parts)-2, len(steps), out.String())
		}
		for i, step := range steps {
			_, printed, _ := strings.Cut(parts[i+1], "\n")
			status, _, _ := strings.Cut(parts[i+2], "\n")
			if status != "0" {
				t.Errorf("exit code %s of\n%s\n%s", status, step.Command, printed)
			}
			if !step.Matches(printed) {
				t.Errorf("%s\nprints\n%s\nthe README shows\n%s", step.Command, printed, step.Output)
			}
		}
	}
}
