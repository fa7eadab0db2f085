// Package gobuild runs `go build` and reports its progress: downloaded bytes, and the packages
// that are compiled.
package gobuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/module"

	"ecommerce-stack.dev/hack/internal/progress"
)

// Build is a call of `go build`.
type Build struct {
	Go       string   // path of the toolchain
	Dir      string   // working directory
	Env      []string // added to the environment
	Flags    []string // such as -trimpath
	Output   string
	Packages []string
}

// countAfter is the time after which the packages of a build are counted. A short build is not
// slowed down by that.
const countAfter = 2 * time.Second

// refreshEvery is how often the downloaded bytes are measured.
const refreshEvery = 500 * time.Millisecond

// Run builds the packages and calls detail with the progress, unless it is nil: to find out how much
// is left takes time. The error has the end of the compiler's output. The build ends when ctx ends.
func (b Build) Run(ctx context.Context, detail func(string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{detail: detail}
	out := progress.Lines(r.line)
	cmd := b.command(ctx, append([]string{"build", "-v", "-o", b.Output}, b.Flags...))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s build: %w", b.Go, err)
	}
	var watch sync.WaitGroup
	if detail != nil {
		watch.Go(func() { r.watch(ctx, b) })
	}
	err := cmd.Wait()
	cancel()
	watch.Wait()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, withoutPackages(out.String()))
	}
	return nil
}

// isPackage reports whether a line of the output of `go build -v` is the path of a package.
func isPackage(line string) bool { return line != "" && !strings.ContainsAny(line, " \t:") }

// withoutPackages returns the messages of a failed build.
func withoutPackages(output string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(output, "\n"), isPackage), "\n")
}

func (b Build) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.Go, append(append(args, "-buildvcs=false"), b.Packages...)...)
	cmd.Dir, cmd.Env = b.Dir, append(os.Environ(), b.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that it removes its temporary files
	return cmd
}

// run is the progress of a build.
type run struct {
	detail func(string)

	mu       sync.Mutex
	built    int
	total    int // 0 if not known
	zips     []string
	cache    string // of downloads
	download bool   // the last line was about a download
}

// line handles a line of the output of `go build -v`.
func (r *run) line(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rest, ok := strings.CutPrefix(text, "go: downloading "); ok {
		r.download = true
		path, version, _ := strings.Cut(rest, " ")
		if escaped, err := module.EscapePath(path); err == nil {
			r.zips = append(r.zips, filepath.Join(filepath.FromSlash(escaped), "@v", version+".zip"))
		}
	} else if isPackage(text) {
		r.built, r.download = r.built+1, false
	}
	r.show()
}

// show calls detail. The caller holds mu.
func (r *run) show() {
	switch {
	case r.detail == nil:
	case r.download:
		r.detail(fmt.Sprintf("%d modules downloaded, %.1f MB", len(r.zips), float64(r.bytes())/1e6))
	case r.total > 0:
		r.detail(fmt.Sprintf("%d of %d packages", min(r.built, r.total), r.total))
	case r.built > 0:
		r.detail(fmt.Sprintf("%d packages", r.built))
	}
}

// bytes returns the size of the downloads, also of those that are not complete.
func (r *run) bytes() (total int64) {
	for _, zip := range r.zips {
		files, err := filepath.Glob(filepath.Join(r.cache, zip) + "*")
		if err != nil {
			continue // a version with a character of a pattern
		}
		for _, file := range files {
			if info, err := os.Stat(file); err == nil && !strings.HasSuffix(file, "hash") {
				total += info.Size()
			}
		}
	}
	return total
}

// watch measures downloads, and counts the packages of a build that takes long.
func (r *run) watch(ctx context.Context, b Build) {
	// Without a cache folder, sizes are 0.
	if out, err := b.environment(ctx); err == nil {
		r.mu.Lock()
		r.cache = filepath.Join(out, "cache", "download")
		r.mu.Unlock()
	}
	refresh, count := time.NewTicker(refreshEvery), time.After(countAfter)
	defer refresh.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-refresh.C:
			r.mu.Lock()
			r.show()
			r.mu.Unlock()
		case <-count:
			r.mu.Lock()
			before, downloading := r.built, r.download
			r.mu.Unlock()
			if downloading {
				count = time.After(countAfter)
				continue
			}
			if left, err := b.stale(ctx); err == nil {
				r.mu.Lock()
				r.total = before + left
				r.mu.Unlock()
			}
		}
	}
}

func (b Build) environment(ctx context.Context) (cache string, err error) {
	cmd := exec.CommandContext(ctx, b.Go, "env", "GOMODCACHE")
	cmd.Dir = b.Dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// notInstalled is the reason for which `go list` calls a package stale that is in the build
// cache. Packages have not been installed elsewhere since Go 1.20.
const notInstalled = "not installed but available in build cache"

// stale returns the number of packages that are not in the build cache.
func (b Build) stale(ctx context.Context) (int, error) {
	cmd := b.command(ctx, append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.StaleReason}}{{end}}"}, b.Flags...))
	out, err := cmd.Output()
	if err != nil {
		return 0, errors.Join(fmt.Errorf("%s list: %w", b.Go, err), ctx.Err())
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		if reason := strings.TrimSpace(line); reason != "" && reason != notInstalled {
			n++
		}
	}
	return n, nil
}
