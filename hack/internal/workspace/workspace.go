// Package workspace finds the checkout, the cache folder and the Go toolchain that
// the development programs use.
package workspace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Root returns the root of the checkout that contains the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("the working directory is not in a checkout of ecommerce-stack: run the command in a checkout")
}

// Cache returns the cache folder, which checkouts and clusters share:
// $XDG_CACHE_HOME/ecommerce-stack, by default ~/.cache/ecommerce-stack.
func Cache() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w (set HOME or XDG_CACHE_HOME)", err)
	}
	return filepath.Join(base, "ecommerce-stack"), nil
}

// Go returns the path of the Go toolchain that hack/go.sh selects.
func Go(root string) (string, error) {
	cmd := exec.Command("sh", filepath.Join(root, "hack", "go.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find a Go toolchain with hack/go.sh: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
