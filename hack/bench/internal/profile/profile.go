// Package profile takes CPU profiles of the services while they are measured. The
// services have no port for that, and none is added to them: a file is laid over their
// main packages when the bench builds them (go help build, -overlay), which waits for
// two signals.
package profile

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Variable in a service's environment that names the folder of its profiles.
const Variable = "BENCH_PROFILES"

//go:embed overlay.go.txt
var source []byte

// Flags writes an overlay for the services of source trees to dir and returns the GOFLAGS
// that build with it.
func Flags(roots []string, dir string, services []string) (string, error) {
	file := filepath.Join(dir, "profile.go")
	if err := os.WriteFile(file, source, 0o600); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for _, root := range roots {
		for _, s := range services {
			replace[filepath.Join(root, "services", s, "profile_of_bench.go")] = file
		}
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return "-buildvcs=false -overlay=" + overlay, os.WriteFile(overlay, raw, 0o600)
}

// Taker takes profiles of processes that were built with the overlay.
type Taker struct {
	// Work is the folder that Variable names, Out where profiles are kept.
	Work, Out string
}

// Begin starts the profile of a process.
func (t *Taker) Begin(pid int) error { return syscall.Kill(pid, syscall.SIGUSR1) }

// End ends the profile of a process and keeps it under the name of what was measured.
func (t *Taker) End(ctx context.Context, pid int, measurement, service string) error {
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		return err
	}
	made := filepath.Join(t.Work, fmt.Sprintf("%d.pprof", pid))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if _, err := os.Stat(made); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s wrote no profile: %w", service, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	raw, err := os.ReadFile(made)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.Out, 0o755); err != nil {
		return err
	}
	kept := filepath.Join(t.Out, strings.ReplaceAll(measurement, "/", "-")+"-"+service+".pprof")
	if err := os.WriteFile(kept, raw, 0o644); err != nil {
		return err
	}
	return os.Remove(made)
}
