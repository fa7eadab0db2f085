package child

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStopKillsProcessGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	// The program ends immediately, but its child does not.
	program := exec.Command("/bin/sh", "-c", "sleep 60 & echo $! > "+file+".new && mv "+file+".new "+file+"; wait")
	c, err := Start(program, os.DevNull, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	var raw []byte
	for deadline := time.Now().Add(10 * time.Second); len(raw) == 0; time.Sleep(5 * time.Millisecond) {
		if raw, _ = os.ReadFile(file); time.Now().After(deadline) {
			t.Fatal("the program did not start its child within 10 s")
		}
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	c.Stop()
	for deadline := time.Now().Add(10 * time.Second); !hasEnded(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs 10 s after Stop", pid)
		}
	}
}

// hasEnded reports whether a process has ended; a zombie has.
func hasEnded(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestAwaitReadyReturnsWhenProgramEnds(t *testing.T) {
	program := exec.Command("/bin/sh", "-c", "echo wrong configuration; exit 3")
	c, err := Start(program, filepath.Join(t.TempDir(), "log"), syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	notReady := func(context.Context) error { return errors.New("not ready") }
	if err := c.AwaitReady(t.Context(), notReady); err == nil || !strings.Contains(err.Error(), "wrong configuration") {
		t.Errorf("%v, want an error with the output of the program", err)
	}
	c.Stop()
}
