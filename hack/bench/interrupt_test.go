package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAnInterruptedRunLeavesNothingBehind stops a run while its servers start, and
// while it measures: by Ctrl-C, and as an init system would.
func TestAnInterruptedRunLeavesNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	program := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for name, c := range map[string]struct {
		signal os.Signal
		// process is in the command line of one that runs, and said was printed, when
		// it is time.
		process, said string
		only          string
		against       string
	}{
		"while MariaDB starts":        {os.Interrupt, "/data", "", "sql/batch-1", ""},
		"while orders are placed":     {syscall.SIGTERM, "/bin/gateway", "✓ Stock", "shop/uniform", ""},
		"while proxies are measured":  {os.Interrupt, "script.lua", "", "http/nginx", ""},
		"while the raw saga goes on":  {os.Interrupt, "/bin/gateway", "✓ Stock", "saga/together-uniform", ""},
		"while messages are consumed": {syscall.SIGTERM, "/bin/gateway", "✓ Stock", "broker/in-flight-200", ""},
		"while a revision is built":   {os.Interrupt, "/gateway@", "", "http/gateway-token", "HEAD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The name of a socket must be short, and those of t.TempDir are not.
			dir, err := os.MkdirTemp("", "bench-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			said := func() string {
				text, _ := os.ReadFile(log.Name()) // Without it the test fails as it should.
				return string(text)
			}
			cmd := exec.Command(program, "--seconds", "30", "--only", c.only, "--out", t.TempDir())
			if c.against != "" {
				cmd.Args = append(cmd.Args, "--against", c.against)
			}
			cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "TMPDIR="+dir), log, log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for len(of(dir, c.process)) == 0 || !strings.Contains(said(), c.said) {
				select {
				case err := <-ended:
					t.Fatalf("it ended before it was interrupted: %v\n%s", err, said())
				case <-time.After(20 * time.Millisecond):
				}
			}
			_ = cmd.Process.Signal(c.signal) // It has just been seen to run.
			select {
			case err := <-ended:
				if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 130 {
					t.Errorf("%v, want exit code 130\n%s", err, said())
				}
			case <-time.After(time.Minute):
				_ = cmd.Process.Kill()
				t.Fatalf("it did not end within a minute\n%s", said())
			}
			for deadline := time.Now().Add(10 * time.Second); len(of(dir, "")) > 0; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("processes are left: %v", of(dir, ""))
				}
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "ecommerce-*")); len(left) > 0 {
				t.Errorf("folders are left: %v", left)
			}
		})
	}
}

// of lists the processes that have to do with a folder, by their command line.
func of(dir, with string) []string {
	var found []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		line, _ := os.ReadFile(file) // It may have ended.
		text := strings.ReplaceAll(string(line), "\x00", " ")
		if strings.Contains(text, dir+"/ecommerce-") && strings.Contains(text, with) {
			found = append(found, text)
		}
	}
	return found
}
