package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/state"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// verifyCommand runs generators in a copy of the checkout, with its files that are not
// committed, and fails if a file is then another one. The checkout stays as it is. The copy
// has always the same path, because Go's build cache depends on it.
type verifyCommand struct {
	Command []string `arg:"" passthrough:"" help:"Command that runs the generators in the working directory."`
}

// Run implements the command.
func (c verifyCommand) Run(ctx context.Context, out io.Writer) error {
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	return verify(ctx, root, filepath.Join(root, "_out", "verify"), c.Command, out)
}

// verify runs a command in a copy of the checkout at root, and compares them.
func verify(ctx context.Context, root, copied string, command []string, out io.Writer) error {
	lock, err := state.Acquire(copied+".lock", func() { fmt.Fprintln(out, "waiting for another run of this command") })
	if err != nil {
		return err
	}
	defer lock.Close()
	before, err := copyCheckout(ctx, root, copied)
	if err != nil {
		return fmt.Errorf("copy the checkout to %s: %w", copied, err)
	}
	if err := progress.New(os.Stderr).Run("Generate in a copy of the checkout", func(detail func(string)) error {
		output := progress.Lines(detail)
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = copied, output, output
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), errors.Join(err, ctx.Err()), output)
		}
		return nil
	}); err != nil {
		return err
	}
	different, err := differences(ctx, root, copied, before)
	if err != nil || len(different) == 0 {
		return err
	}
	for _, name := range different {
		// The exit code is 1 if the files differ, and for one that exists on one side only.
		diff, _ := exec.CommandContext(ctx, "git", "diff", "--no-index", "--", existing(root, name), existing(copied, name)).Output()
		_, _ = out.Write(diff[:min(len(diff), maxDiff)])
	}
	return fmt.Errorf("these files are out of date:\n  %s\nThe fix is `make generate tidy`", strings.Join(different, "\n  "))
}

// maxDiff bounds the output for one file, in bytes.
const maxDiff = 4 << 10

// existing returns the path of a file, or of an empty one if it does not exist.
func existing(dir, name string) string {
	path := filepath.Join(dir, name)
	if _, err := os.Lstat(path); err != nil {
		return os.DevNull
	}
	return path
}

// copyCheckout copies the files of a checkout that git does not ignore, committed or not, and
// returns their hashes.
func copyCheckout(ctx context.Context, root, to string) (map[string][32]byte, error) {
	if err := os.RemoveAll(to); err != nil {
		return nil, err
	}
	listed, err := exec.CommandContext(ctx, "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("list the files: %w", err)
	}
	hashes := map[string][32]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		from, target := filepath.Join(root, name), filepath.Join(to, name)
		info, err := os.Lstat(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, but not committed
		}
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			link, err := os.Readlink(from)
			if err != nil {
				return nil, err
			}
			if err := os.Symlink(link, target); err != nil {
				return nil, err
			}
			continue
		}
		content, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(target, content, info.Mode().Perm()); err != nil {
			return nil, err
		}
		hashes[name] = sha256.Sum256(content)
	}
	return hashes, nil
}

// localFile is a file that is committed for the speed of builds, and that `go` extends.
const localFile = "go.work.sum"

// differences returns the names of the files of a copy that have changed, that are new and not
// ignored by git, and that are missing.
func differences(ctx context.Context, root, copied string, before map[string][32]byte) ([]string, error) {
	var different, added []string
	present := map[string]bool{}
	err := filepath.WalkDir(copied, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(copied, path)
		if err != nil {
			return err
		}
		present[name] = true
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if hash, known := before[name]; !known {
			added = append(added, name)
		} else if hash != sha256.Sum256(content) && name != localFile {
			different = append(different, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name := range before {
		if !present[name] {
			different = append(different, name)
		}
	}
	ignored, err := ignoredFiles(ctx, root, added)
	if err != nil {
		return nil, err
	}
	for _, name := range added {
		if !ignored[name] {
			different = append(different, name)
		}
	}
	slices.Sort(different)
	return different, nil
}

// ignoredFiles returns those of the files that git ignores in the checkout at root.
func ignoredFiles(ctx context.Context, root string, files []string) (map[string]bool, error) {
	cmd := exec.CommandContext(ctx, "git", "-C", root, "check-ignore", "-z", "--stdin")
	cmd.Stdin = strings.NewReader(strings.Join(files, "\x00"))
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		err = nil // None of them is ignored.
	}
	if err != nil {
		return nil, fmt.Errorf("find the files that git ignores: %w\n%s", err, messages.String())
	}
	ignored := map[string]bool{}
	for name := range strings.SplitSeq(string(out), "\x00") {
		ignored[name] = true
	}
	return ignored, nil
}
