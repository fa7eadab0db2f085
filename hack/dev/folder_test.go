package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFolderHasOneUserAtATime(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dev")
	f, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("already runs as process %d: stop it with Ctrl-C in its terminal or with `kill %[1]d`", os.Getpid())
	if _, err := open(dir); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want ... %s", err, want)
	}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	if err := f.Clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is there after a reset: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := open(dir)
	if err != nil {
		t.Fatalf("the lock of a program that has ended is held: %v", err)
	}
	_ = again.Close()
}

func TestUnusableFolderNamesTheFix(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := open(filepath.Join(file, "dev"))
	for _, c := range []struct {
		err  error
		want string
	}{
		{err, "use the folder " + file},
		{(&folder{dir: file}).Check(), "use the folder " + file},
		{unusable(dir, fmt.Errorf("write: %w", os.ErrPermission)), "make it writable for this user"},
		{unusable(dir, &os.PathError{Op: "write", Path: dir, Err: syscall.ENOSPC}), "delete files"},
		{checkSpace(dir, requiredSpace-1), "has 1023 MiB free, and 1024 MiB are required: delete files"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("got %v, want ... %s", c.err, c.want)
		}
	}
	if err := checkSpace(dir, requiredSpace); err != nil {
		t.Errorf("enough space: %v", err)
	}
}
