package rootfs

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"ecommerce-stack.dev/hack/internal/archive"
	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/state"
)

// Ensure returns the first recipe whose archive is in the cache. If there is none,
// it builds the recipes in order and returns the first that succeeds.
func Ensure(p *progress.Printer, cache string, recipes []Recipe) (Recipe, error) {
	lock, err := state.Acquire(filepath.Join(cache, "images", "lock"), func() {
		p.Printf("  … waiting for another program that is building images")
	})
	if err != nil {
		return Recipe{}, err
	}
	defer lock.Close()

	for _, recipe := range recipes {
		if _, err := os.Stat(recipe.Archive(cache)); err == nil {
			return recipe, nil
		}
	}
	var failed error
	for i, recipe := range recipes {
		what := fmt.Sprintf("Build the image of %s from Debian %s", recipe.Title, recipe.Suite)
		err := p.Run(what, func(detail func(string)) error { return recipe.build(cache, detail) })
		if err == nil {
			return recipe, nil
		}
		failed = err
		if i+1 < len(recipes) {
			p.Printf("  ! %s cannot be installed (%s): using %s instead", recipe.Title, firstLine(err), recipes[i+1].Title)
		}
	}
	return Recipe{}, failed
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// build builds the archive in a temporary folder. It first removes the folder of
// an interrupted build.
func (r Recipe) build(cache string, detail func(string)) error {
	mirror, err := debian.Mirror()
	if err != nil {
		return err
	}
	work := filepath.Join(cache, "images", "build-"+r.Name)
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("clear %s: %w", work, err)
	}
	defer os.RemoveAll(work)
	root := filepath.Join(work, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := run(detail, "debootstrap", "--variant=minbase", "--include="+r.Package, r.Suite, root, mirror); err != nil {
		return err
	}
	if err := run(detail, "chroot", root, "env", "-i", "PATH="+debianPath, "NAME="+r.Name, "ACCOUNT="+r.Account, "sh", "-c", r.Finish); err != nil {
		return err
	}
	detail("writing the image")
	layer := filepath.Join(work, "layer.tar")
	args := []string{"--create", "--file", layer, "--sort=name", "--mtime=@0", "--numeric-owner", "--format=posix",
		"--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", "--anchored", "--wildcards", "--directory", root}
	for _, pattern := range excluded {
		args = append(args, "--exclude=./"+pattern)
	}
	if err := run(detail, "tar", append(args, ".")...); err != nil {
		return err
	}
	return archive.Write(r.Archive(cache), archive.Image{
		References: []string{r.Reference(), r.UniqueReference()},
		Config:     r.Config,
		Layer:      func() (io.ReadCloser, error) { return os.Open(layer) },
	})
}

// run runs a command in new mount and PID namespaces, so that its mounts and
// processes are removed when it or this program ends.
func run(detail func(string), name string, args ...string) error {
	runtime.LockOSThread() // Pdeathsig refers to the thread that starts the child
	defer runtime.UnlockOSThread()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	out := progress.Lines(func(line string) { detail(strings.TrimPrefix(line, "I: ")) })
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
