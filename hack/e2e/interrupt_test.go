package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestUpCanBeInterrupted kills all processes of `make up` at several of its steps and runs
// it again.
func TestUpCanBeInterrupted(t *testing.T) {
	s := newShop(t)
	before := s.place(t, s.product(t, 1), 1)
	for _, step := range []string{"Build auth", "install the operator", "wait until stack"} {
		killAt(t, step)
	}
	cmd := exec.CommandContext(t.Context(), "make", "up")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make up after an interruption: %v\n%s", err, out)
	}
	s.awaitStatus(t, before, "Confirmed")
}

// killAt starts `make up` and kills its whole process group once it prints step.
func killAt(t *testing.T, step string) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("make", "up")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "../..", in, in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close() // The children have inherited it.
	var printed []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		printed = append(printed, lines.Text())
		if strings.Contains(lines.Text(), step) {
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait() // It was killed.
			return
		}
	}
	t.Fatalf("make up ended (%v) without the step %q:\n%s", cmd.Wait(), step, strings.Join(printed, "\n"))
}
