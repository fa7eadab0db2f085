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

	"ecommerce-stack.dev/hack/testenv"
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
	testenv.Eventually(t, "the program starts its child", func() bool {
		raw, err = os.ReadFile(file)
		return err == nil
	})
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	c.Stop()
	testenv.Eventually(t, "the child has ended", func() bool { return hasEnded(pid) })
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
