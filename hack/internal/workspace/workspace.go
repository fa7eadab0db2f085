// Package workspace finds the places that every developer program works with:
// the checkout, the cache, and the Go toolchain that builds the repository.
package workspace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Root returns the top folder of the checkout that holds the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "hack", "kubernetes", "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("this is not a checkout of ecommerce-stack: run it from inside one")
}

// Cache returns the folder that outlives checkouts and clusters:
// $XDG_CACHE_HOME/ecommerce-stack, by default ~/.cache/ecommerce-stack.
func Cache() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w (set HOME or XDG_CACHE_HOME)", err)
	}
	return filepath.Join(base, "ecommerce-stack"), nil
}

// Go returns the path of the Go toolchain that hack/go.sh chooses, which may be
// one that is not on PATH.
func Go(root string) (string, error) {
	cmd := exec.Command("sh", filepath.Join(root, "hack", "go.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find a Go toolchain with hack/go.sh: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
