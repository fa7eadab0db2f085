// Package clients installs the tools that teams of clients use for an API: linters of its documents,
// generators of clients, and axe for its page. Its tests lint the documents, and place an order with
// each generated client.
package clients

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"ecommerce-stack.dev/hack/internal/gobuild"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// Packages returns the folder of the npm packages of testdata with their node_modules. They are
// installed in the cache, once for each version of their lock file.
func Packages(ctx context.Context) (string, error) {
	return cached("npm", "testdata", []string{"package.json", "package-lock.json"}, func(dir, source string) error {
		for _, name := range []string{"package.json", "package-lock.json"} {
			content, err := os.ReadFile(filepath.Join(source, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				return err
			}
		}
		return progress.New(os.Stderr).Run("Install the npm packages of the tests of clients", func(detail func(string)) error {
			out := progress.Lines(detail)
			cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
			cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("npm ci: %w\n%s", err, out.String())
			}
			return nil
		})
	})
}

// Generators returns the folder of the programs oapi-codegen and ogen. They are built in the cache,
// once for each version that the module golang pins.
func Generators(ctx context.Context) (string, error) {
	return cached("go", "golang", []string{"go.mod", "go.sum"}, func(dir, source string) error {
		return progress.New(os.Stderr).Run("Build oapi-codegen and ogen", func(detail func(string)) error {
			return gobuild.Build{Go: "go", Dir: source, Env: []string{"GOWORK=off"}, Output: dir + string(filepath.Separator), Packages: []string{"tool"}}.Run(ctx, detail)
		})
	})
}

// cached returns a folder of the cache that fill has filled for the content of some files of source, a
// folder of this package. fill gets a temporary folder and the path of source.
func cached(kind, source string, files []string, fill func(dir, source string) error) (string, error) {
	root, err := workspace.Root()
	if err != nil {
		return "", err
	}
	source = filepath.Join(root, "hack", "contract", "clients", source)
	sum := sha256.New()
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		sum.Write(content)
	}
	cache, err := workspace.Cache()
	if err != nil {
		return "", err
	}
	filled := filepath.Join(cache, "clients", kind+"-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(filled); err == nil {
		return filled, nil
	}
	if err := os.MkdirAll(filepath.Dir(filled), 0o750); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(filepath.Dir(filled), "new-") // The same file system, so that it can be moved.
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := fill(dir, source); err != nil {
		return "", err
	}
	if err := os.Rename(dir, filled); err != nil {
		if _, statErr := os.Stat(filled); statErr == nil {
			return filled, nil // Another process was faster.
		}
		return "", err
	}
	return filled, nil
}
