// Package revision resolves and extracts earlier revisions of this repository, which are
// measured together with the present one.
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
)

// Revision is a commit of this repository.
type Revision struct {
	// Name is the revision in the options, Commit its abbreviated hash, About its date
	// and subject.
	Name, Commit, About string
	// Root is the folder of its files between Extract and Remove.
	Root string
	// Env is added to the environment of its services.
	Env []string

	present bool
}

// Present returns the files of the repository as they are, under a name for what Env changes.
func Present(repository, name, about string) Revision {
	return Revision{Name: name, Commit: name, About: about, Root: repository, present: true}
}

// Resolve returns the commits of the names, in order and without duplicates. It does not read
// the working tree.
func Resolve(ctx context.Context, repository string, names []string) ([]Revision, error) {
	inside, err := git(ctx, repository, "rev-parse", "--show-prefix")
	if err == nil && inside != "" {
		err = fmt.Errorf("it is the folder %s of another repository", inside)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not a git repository, which --against requires: run the bench in a clone, or omit --against (%w)",
			repository, err)
	}
	var found []Revision
	for _, name := range names {
		commit, err := git(ctx, repository, "rev-parse", "--verify", "--short", "--end-of-options", name+"^{commit}")
		if err != nil {
			return nil, fmt.Errorf("--against %s is not a revision of this repository: list them with `git log --oneline --all`, "+
				"or fetch missing ones with `git fetch`, in a shallow clone with --unshallow", name)
		}
		if _, err := git(ctx, repository, "cat-file", "-e", commit+":services/gateway/main.go"); err != nil {
			return nil, fmt.Errorf("--against %s has no services to build: use a later revision; `git log --oneline -- services/gateway/main.go` shows the first one", name)
		}
		about, err := git(ctx, repository, "log", "-1", "--format=%cs %s", commit)
		if err != nil {
			return nil, fmt.Errorf("--against %s: %w", name, err)
		}
		if !slices.ContainsFunc(found, func(other Revision) bool { return other.Commit == commit }) {
			found = append(found, Revision{Name: name, Commit: commit, About: about})
		}
	}
	return found, nil
}

// Extract writes the files of the commit to a temporary folder. Call Remove even if it returns
// an error.
func (r *Revision) Extract(ctx context.Context, repository string) (err error) {
	if r.present {
		return nil
	}
	if r.Root, err = os.MkdirTemp("", "ecommerce-bench-revision-"); err != nil {
		return err
	}
	archive, err := git(ctx, repository, "archive", "--format=tar", r.Commit)
	if err != nil {
		return fmt.Errorf("read the files of %s: %w", r.Commit, err)
	}
	unpack := exec.CommandContext(ctx, "tar", "-x", "-C", r.Root)
	unpack.Stdin = strings.NewReader(archive)
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("write the files of %s: %w\n%s", r.Commit, err, out)
	}
	return nil
}

// Remove removes the extracted files.
func (r *Revision) Remove() error {
	if r.present {
		return nil
	}
	return os.RemoveAll(r.Root)
}

// Incompatible wraps an error of a system that was built from the commit. The usual cause is
// that the commit does not support the present settings, topology and requests.
func (r *Revision) Incompatible(err error) error {
	return fmt.Errorf("start %s (--against %s): it may be too old to run with the present settings; use a later revision: %w", r.Commit, r.Name, err)
}

// git returns the output of git without the last line break. The error contains its messages.
func git(ctx context.Context, repository string, arguments ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", repository}, arguments...)...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return strings.TrimSuffix(string(out), "\n"), err
}
