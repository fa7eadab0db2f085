package main

import (
	"strings"
	"testing"
)

func TestFileSystemInMemoryIsMarked(t *testing.T) {
	for dir, want := range map[string]bool{"/dev/shm": true, "/proc": false} {
		if got := fileSystem(t.Context(), dir); strings.Contains(got, "in MEMORY") != want || strings.Contains(got, "unknown") {
			t.Errorf("%s is on %q, want it to be marked: %t", dir, got, want)
		}
	}
}
