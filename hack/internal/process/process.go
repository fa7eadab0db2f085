// Package process names processes so that the right one is signalled: a pid is
// used again sooner or later, but never with the same start time in one boot.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ID is one process of one boot of one machine.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot
	Boot  string `json:"boot"`  // the kernel's boot id
}

// Of returns the identity of the running process with that pid.
func Of(pid int) (ID, error) { return identity(strconv.Itoa(pid)) }

// Self returns the identity of this process as the mounted /proc sees it, which
// in a new pid namespace is still the parent's view until /proc is remounted.
func Self() (ID, error) {
	name, err := os.Readlink("/proc/self")
	if err != nil {
		return ID{}, err
	}
	return identity(name)
}

func identity(name string) (ID, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", name, "stat"))
	if err != nil {
		return ID{}, fmt.Errorf("identify process %s: %w", name, err)
	}
	pid, start, state, err := parseStat(stat)
	if err != nil {
		return ID{}, fmt.Errorf("identify process %s: %w", name, err)
	}
	if state == 'Z' || state == 'X' {
		return ID{}, fmt.Errorf("identify process %s: %w", name, os.ErrProcessDone)
	}
	boot, err := BootID()
	return ID{PID: pid, Start: start, Boot: boot}, err
}

// BootID returns the kernel's id of this boot.
func BootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(id)), err
}

// parseStat reads pid, start time and state from /proc/<pid>/stat (proc(5)).
// The command's name, in parentheses, may itself hold spaces and parentheses.
func parseStat(stat []byte) (pid int, start uint64, state byte, err error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 1 || end < open {
		return 0, 0, 0, errors.New("stat has no command name")
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(stat[:open]))); err != nil {
		return 0, 0, 0, fmt.Errorf("stat: %w", err)
	}
	fields := strings.Fields(string(stat[end+1:]))
	const startField = 22 - 3 // fields are counted from 1; state, the third, is first here
	if len(fields) <= startField {
		return 0, 0, 0, fmt.Errorf("stat has only %d fields", len(fields)+2)
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	return pid, start, fields[0][0], err
}

// Alive tells whether this very process still runs.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	now, err := Of(id.PID)
	return err == nil && now == id
}

// Signal sends a signal to this very process: the pid is pinned first and its
// identity checked after, so that another process can never receive it. It
// returns os.ErrProcessDone when the process is gone.
func (id ID) Signal(signal unix.Signal) error {
	if id.PID <= 0 {
		return os.ErrProcessDone
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", id.PID, err)
	}
	defer unix.Close(fd)
	if !id.Alive() {
		return os.ErrProcessDone
	}
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	} else if err != nil {
		return fmt.Errorf("signal process %d: %w", id.PID, err)
	}
	return nil
}

// Stop asks the process to end, insists after the grace period, and returns
// when it is gone.
func (id ID) Stop(grace time.Duration) error {
	for _, attempt := range []struct {
		signal unix.Signal
		wait   time.Duration
	}{{unix.SIGTERM, grace}, {unix.SIGKILL, 15 * time.Second}} {
		err := id.Signal(attempt.signal)
		if errors.Is(err, os.ErrProcessDone) {
			return nil
		}
		if err != nil {
			return err
		}
		for end := time.Now().Add(attempt.wait); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if !id.Alive() {
				return nil
			}
		}
	}
	return fmt.Errorf("process %d does not end even when killed: look at it with ps -o pid,stat,wchan,args -p %d", id.PID, id.PID)
}
