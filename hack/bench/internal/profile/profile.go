// Package profile takes CPU profiles of the services during measurements. The bench adds a
// file to their main packages with a build overlay (go help build, -overlay), which
// starts and stops profiles on two signals.
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

// Variable is the environment variable with the folder of the profiles.
const Variable = "BENCH_PROFILES"

//go:embed overlay.go.txt
var source []byte

// Flags writes a build overlay for the services of the source trees to dir and returns the
// GOFLAGS that use it.
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
	// Work is the folder in Variable, Out the folder of finished profiles.
	Work, Out string
}

// Begin starts the profile of a process.
func (t *Taker) Begin(pid int) error { return syscall.Kill(pid, syscall.SIGUSR1) }

// End ends the profile of a process and copies it to Out, with the names of the measurement
// and the service.
func (t *Taker) End(ctx context.Context, pid int, measurement, service string) error {
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		return err
	}
	temporary := filepath.Join(t.Work, fmt.Sprintf("%d.pprof", pid))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if _, err := os.Stat(temporary); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s wrote no profile: %w", service, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	raw, err := os.ReadFile(temporary)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.Out, 0o755); err != nil {
		return err
	}
	target := filepath.Join(t.Out, strings.ReplaceAll(measurement, "/", "-")+"-"+service+".pprof")
	if err := os.WriteFile(target, raw, 0o644); err != nil {
		return err
	}
	return os.Remove(temporary)
}
