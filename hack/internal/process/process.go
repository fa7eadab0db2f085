// Package process identifies processes so that signals reach only the intended
// one: the kernel reuses process IDs, but not with the same start time in one
// boot.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

// ID identifies a process of this machine across reboots.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot
	Boot  string `json:"boot"`  // the kernel's boot ID
}

// Of returns the identity of the running process pid. The error is
// os.ErrProcessDone if the process is a zombie, and fs.ErrNotExist if it does not
// exist.
func Of(pid int) (ID, error) { return identity(strconv.Itoa(pid)) }

// Self returns the identity of this process in the PID namespace of the mounted
// /proc. In a new PID namespace that is the parent's namespace until /proc is
// mounted again.
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

// BootID returns the kernel's ID of this boot.
func BootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(id)), err
}

// parseStat parses process ID, start time and state in /proc/<pid>/stat
// (proc(5)). The command's name, in parentheses, can contain spaces and
// parentheses.
func parseStat(stat []byte) (pid int, start uint64, state byte, err error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 1 || end < open {
		return 0, 0, 0, errors.New("stat has no command name")
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(stat[:open]))); err != nil {
		return 0, 0, 0, fmt.Errorf("stat: %w", err)
	}
	fields := strings.Fields(string(stat[end+1:]))
	const startField = 22 - 3 // proc(5) counts from 1; fields begins with the third, the state
	if len(fields) <= startField {
		return 0, 0, 0, fmt.Errorf("stat has only %d fields", len(fields)+2)
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	return pid, start, fields[0][0], err
}

// Alive reports whether the process still runs.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	now, err := Of(id.PID)
	return err == nil && now == id
}

// Signal sends a signal to the process. It opens a pidfd before it compares the
// identity, so that no other process can receive the signal. It returns
// os.ErrProcessDone if the process has ended.
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

// Stop sends SIGTERM to the process, and SIGKILL after the grace period, and
// returns when the process has ended.
func (id ID) Stop(grace time.Duration) error {
	for _, attempt := range []struct {
		signal unix.Signal
		limit  time.Duration
	}{{unix.SIGTERM, grace}, {unix.SIGKILL, 15 * time.Second}} {
		err := id.Signal(attempt.signal)
		if errors.Is(err, os.ErrProcessDone) {
			return nil
		}
		if err != nil {
			return err
		}
		if wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, attempt.limit, true, func(context.Context) (bool, error) {
			return !id.Alive(), nil
		}) == nil {
			return nil
		}
	}
	return fmt.Errorf("process %d still runs 15 seconds after SIGKILL: inspect it with ps -o pid,stat,wchan,args -p %d", id.PID, id.PID)
}
