// Package revision brings earlier states of this repository, so that what was built from
// them can be measured beside what is built from the present one.
package revision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

// Revision is a commit of this repository. The zero value stands for the present source
// tree, with what is not committed yet.
type Revision struct {
	// Asked is how the commit was named, Commit its short name, About its day and the
	// first line of its message.
	Asked, Commit, About string
	// Root is the folder with its files, from Extract to Remove.
	Root string
}

// Resolve finds the commits that are named, in the order of their names; one that is named
// twice is taken once. It reads no file of the working tree.
func Resolve(ctx context.Context, repository string, names []string) ([]Revision, error) {
	inside, err := git(ctx, repository, "rev-parse", "--show-prefix")
	if err == nil && inside != "" {
		err = fmt.Errorf("it is the folder %s of another one", inside)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no git repository, and earlier revisions come from its history: run the bench in a clone, or leave out --against (%w)",
			repository, err)
	}
	var found []Revision
	for _, name := range names {
		r, err := resolve(ctx, repository, name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(found, func(other Revision) bool { return other.Commit == r.Commit }) {
			found = append(found, r)
		}
	}
	return found, nil
}

func resolve(ctx context.Context, repository, name string) (Revision, error) {
	commit, err := git(ctx, repository, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if err != nil {
		return Revision{}, fmt.Errorf("--against %s is no revision of this repository: `git log --oneline --all` lists them; "+
			"`git fetch` gets those that were made elsewhere, and with --unshallow the older ones of a shallow clone", name)
	}
	if _, err := git(ctx, repository, "cat-file", "-e", commit+":services/gateway/main.go"); err != nil {
		return Revision{}, fmt.Errorf("--against %s has no services to build: take a later one, in which `git log --oneline -- services/gateway/main.go` begins", name)
	}
	said, err := git(ctx, repository, "log", "-1", "--format=%h%n%cs %s", commit)
	if err != nil {
		return Revision{}, fmt.Errorf("--against %s: %w", name, err)
	}
	short, about, _ := strings.Cut(said, "\n")
	return Revision{Asked: name, Commit: short, About: about}, nil
}

// Extract writes the files of the commit to a temporary folder. Whatever comes of it,
// Remove takes them away.
func (r *Revision) Extract(ctx context.Context, repository string) (err error) {
	if r.Root, err = child.Folder("revision-" + r.Commit); err != nil {
		return err
	}
	archive, err := output(exec.CommandContext(ctx, "git", "-C", repository, "archive", "--format=tar", r.Commit))
	if err != nil {
		return fmt.Errorf("read the files of %s: %w", r.Commit, err)
	}
	unpack := exec.CommandContext(ctx, "tar", "-x", "-C", r.Root)
	unpack.Stdin = bytes.NewReader(archive)
	if _, err := output(unpack); err != nil {
		return fmt.Errorf("write the files of %s: %w", r.Commit, err)
	}
	return nil
}

// Remove removes the files, if there are any.
func (r *Revision) Remove() error {
	if r.Root == "" {
		return nil
	}
	return os.RemoveAll(r.Root)
}

// Old adds to a failure of what was built from the commit why that may be: it gets the
// settings, the topology and the calls of today.
func (r *Revision) Old(err error) error {
	return fmt.Errorf("%s, of --against %s, does not run as the present services do; take a later revision if it is too old for that: %w", r.Commit, r.Asked, err)
}

func git(ctx context.Context, repository string, arguments ...string) (string, error) {
	out, err := output(exec.CommandContext(ctx, "git", append([]string{"-C", repository}, arguments...)...))
	return strings.TrimSpace(string(out)), err
}

// output is what a command prints, or an error with what it complains of.
func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}
