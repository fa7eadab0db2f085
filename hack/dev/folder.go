package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/internal/state"
)

// requiredSpace is the free space in bytes that a start requires: two empty servers and the
// programs take about half of it.
const requiredSpace = 1 << 30

// folder is the state folder of a checkout. The program that has it open is the only one that
// uses it.
type folder struct {
	dir  string
	lock *state.Lock
}

// open opens the state folder dir. It returns an error with the process ID of another program
// that has it open.
func open(dir string) (*folder, error) {
	f := &folder{dir: dir}
	path := dir + ".lock" // beside the folder, which Clear removes
	lock, err := state.TryAcquire(path)
	if errors.Is(err, state.ErrHeld) {
		holder, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		pid := strings.TrimSpace(string(holder))
		return nil, fmt.Errorf("`make dev` of this checkout already runs as process %s: stop it with Ctrl-C in its terminal or with `kill %s`", pid, pid)
	}
	if err != nil {
		return nil, unusable(filepath.Dir(dir), err)
	}
	f.lock = lock
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(unusable(filepath.Dir(dir), err), lock.Close())
	}
	return f, nil
}

// Close lets other programs use the folder.
func (f *folder) Close() error { return f.lock.Close() }

// Check creates the folder if it is missing, and returns an error, with the fix, if it cannot be
// written or the disk is full.
func (f *folder) Check() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return unusable(f.dir, err)
	}
	probe, err := os.CreateTemp(f.dir, ".probe-*")
	if err != nil {
		return unusable(f.dir, err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return unusable(f.dir, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(f.dir, &fs); err != nil {
		return fmt.Errorf("measure the free space of %s: %w", f.dir, err)
	}
	return checkSpace(f.dir, fs.Bavail*uint64(fs.Bsize))
}

// checkSpace returns an error if free is less than requiredSpace.
func checkSpace(dir string, free uint64) error {
	if free >= requiredSpace {
		return nil
	}
	return fmt.Errorf("the disk of %s has %d MiB free, and %d MiB are required: delete files, then run this command again", dir, free>>20, requiredSpace>>20)
}

// StopLeftovers stops the processes of a run that was killed.
func (f *folder) StopLeftovers() error { return local.StopRecorded(f.dir) }

// Clear deletes the folder.
func (f *folder) Clear() error {
	if err := f.StopLeftovers(); err != nil {
		return err
	}
	if err := os.RemoveAll(f.dir); err != nil {
		return unusable(f.dir, err)
	}
	return nil
}

// unusable adds the fix to an error of the folder.
func unusable(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("write to %s: %w: delete files, then run this command again", dir, err)
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("write to %s: %w: make it writable for this user (it may belong to root after a run with sudo)", dir, err)
	}
	return fmt.Errorf("use the folder %s: %w", dir, err)
}
