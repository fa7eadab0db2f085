// Package published builds programs from published Go modules, each with the requirements of
// its own, so that none of them is a requirement of this repository.
package published

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"ecommerce-stack.dev/hack/internal/gobuild"
	"ecommerce-stack.dev/hack/internal/state"
)

// Program is a main package of a published module.
type Program struct {
	Module  string // path and version: example.org/module@v1.2.3
	Package string // relative to the module: ./cmd/program
	// Flags are additional flags of `go build`.
	Flags []string
	// Add are the contents of files that the module lacks, by path relative to the module.
	// Some modules embed generated files that are not published.
	Add map[string]string
}

// Build downloads the module and builds the program to file, without cgo. It
// stops cleanly if ctx is canceled, and calls detail with its progress. The error contains the
// output of the compiler.
func (p Program) Build(ctx context.Context, goTool, file string, detail func(string)) error {
	detail("downloading " + p.Module)
	dir, err := p.download(ctx, goTool)
	if err != nil {
		return err
	}
	if len(p.Add) > 0 {
		changed, err := os.MkdirTemp("", "published-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(changed)
		if err := p.copyWithAdded(dir, changed); err != nil {
			return err
		}
		dir = changed
	}
	if err := (gobuild.Build{Go: goTool, Dir: dir, Env: []string{"CGO_ENABLED=0", "GOWORK=off"}, Flags: p.Flags,
		Output: file, Packages: []string{p.Package}}).Run(ctx, detail); err != nil {
		return fmt.Errorf("build %s of %s: %w", p.Package, p.Module, err)
	}
	return nil
}

// copyWithAdded copies the module from dir and adds the files of Add. An overlay would be
// shorter, but Go permits none in the module cache.
func (p Program) copyWithAdded(dir, to string) error {
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		return err
	}
	for name, content := range p.Add {
		if err := state.Write(filepath.Join(to, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// download downloads the module and returns its folder.
func (p Program) download(ctx context.Context, goTool string) (string, error) {
	output, err := exec.CommandContext(ctx, goTool, "mod", "download", "-json", p.Module).Output()
	var result struct{ Dir, Error string }
	if decodeErr := json.Unmarshal(output, &result); err != nil || decodeErr != nil {
		return "", fmt.Errorf("download %s: %w: %s", p.Module, errors.Join(err, decodeErr), result.Error)
	}
	return result.Dir, nil
}
