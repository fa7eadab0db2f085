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

	"ecommerce-stack.dev/hack/testenv"
)

// TestInterruptedRunCleansUp interrupts runs during start and measurement, with SIGINT and
// SIGTERM.
func TestInterruptedRunCleansUp(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	program := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for name, c := range map[string]struct {
		signal os.Signal
		// The signal is sent when a process with this text in its command line runs
		// and the run has printed the output.
		process, output string
		only            string
		against         string
	}{
		"while MariaDB starts":        {os.Interrupt, "/data", "", "sql/batch-1", ""},
		"while orders are placed":     {syscall.SIGTERM, "/bin/gateway", "✓ Start MariaDB", "shop/uniform", ""},
		"while proxies are measured":  {os.Interrupt, "wrk.lua", "", "http/nginx", ""},
		"while the raw saga runs":     {os.Interrupt, "/bin/gateway", "✓ Prepare", "saga/together-uniform", ""},
		"while messages are consumed": {syscall.SIGTERM, "/bin/gateway", "✓ Prepare", "broker/in-flight-200", ""},
		"while a revision is built":   {os.Interrupt, "/gateway@", "", "http/gateway-token", "HEAD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Paths of sockets are limited, and t.TempDir is too long.
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
			output := func() string {
				text, _ := os.ReadFile(log.Name()) // The test fails if it cannot be read.
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
			for len(processesOf(dir, c.process)) == 0 || !strings.Contains(output(), c.output) {
				select {
				case err := <-ended:
					t.Fatalf("the run ended before the interrupt: %v\n%s", err, output())
				case <-time.After(20 * time.Millisecond):
				}
			}
			_ = cmd.Process.Signal(c.signal) // It was running just before.
			select {
			case err := <-ended:
				if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 130 {
					t.Errorf("%v, want exit code 130\n%s", err, output())
				}
			case <-time.After(time.Minute):
				_ = cmd.Process.Kill()
				t.Fatalf("the run did not end within a minute\n%s", output())
			}
			testenv.Eventually(t, "all processes have ended", func() bool { return len(processesOf(dir, "")) == 0 })
			if remaining, _ := filepath.Glob(filepath.Join(dir, "ecommerce-*")); len(remaining) > 0 {
				t.Errorf("folders remain: %v", remaining)
			}
		})
	}
}

// processesOf returns the command lines that contain the folder and the text.
func processesOf(dir, with string) []string {
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
