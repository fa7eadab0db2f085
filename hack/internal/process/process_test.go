package process

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStatOfNameWithParenthesesAndSpaces(t *testing.T) {
	stat := "4242 (a) b (c) S 1 4242 4242 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1000 10 18446744073709551615"
	pid, start, state, err := parseStat([]byte(stat))
	if err != nil || pid != 4242 || start != 987654 || state != 'S' {
		t.Errorf("got pid %d, start %d, state %c, error %v; want 4242, 987654, S, none", pid, start, state, err)
	}
}

func TestParseStatRejectsInvalidStat(t *testing.T) {
	for _, stat := range []string{"", "1 no name", "x (sh) S 1", "1 (sh) S 1 2 3"} {
		if _, _, _, err := parseStat([]byte(stat)); err == nil {
			t.Errorf("parseStat(%q) has no error", stat)
		}
	}
}

func TestSelfIsAlive(t *testing.T) {
	id, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	if id.PID != os.Getpid() || !id.Alive() {
		t.Errorf("got %+v, alive %v; want pid %d alive", id, id.Alive(), os.Getpid())
	}
}

func TestReusedPIDIsNotSignaled(t *testing.T) {
	cmd := startSleep(t)
	id, err := Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]ID{
		"an earlier process with this pid": {PID: id.PID, Start: id.Start - 1, Boot: id.Boot},
		"the same numbers before a reboot": {PID: id.PID, Start: id.Start, Boot: "another boot"},
		"no process":                       {},
	} {
		if other.Alive() {
			t.Errorf("%s is alive", name)
		}
		if err := other.Signal(unix.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("signal %s: %v, want %v", name, err, os.ErrProcessDone)
		}
	}
	if !id.Alive() {
		t.Error("a signal for another identity killed the process")
	}
}

func TestStopKillsProcessThatIgnoresSIGTERM(t *testing.T) {
	cmd := exec.Command("sh", "-c", `trap "" TERM; echo ready; while :; do sleep 1; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	id, err := Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Stop(100 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if id.Alive() {
		t.Error("the process is still alive")
	}
	_ = cmd.Wait()
}

func TestChildrenReturnsChild(t *testing.T) {
	cmd := startSleep(t)
	children, err := Children(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range children {
		if child.PID == cmd.Process.Pid {
			if child.InnerPID != child.PID {
				t.Errorf("inner pid %d, want %d", child.InnerPID, child.PID)
			}
			return
		}
	}
	t.Errorf("children %+v, want one with pid %d", children, cmd.Process.Pid)
}

func TestParseStatusInPIDNamespace(t *testing.T) {
	text := "Name:\tetcd\nPid:\t4711\nPPid:\t4700\nNSpid:\t4711\t12\nVmRSS:\t  2048 kB\n"
	child, parent := parseStatus(text)
	if want := (Child{PID: 4711, InnerPID: 12, Resident: 2 << 20}); child != want || parent != 4700 {
		t.Errorf("got %+v of %d, want %+v of 4700", child, parent, want)
	}
}

func startSleep(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}
