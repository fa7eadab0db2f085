package main

import (
	"strings"
	"testing"
)

func TestFileSystemIsInnermostMount(t *testing.T) {
	const mounts = "/dev/vda / ext4 rw 0 0\nnone /tmp tmpfs rw 0 0\n/dev/vdb /tmp/data xfs rw 0 0\n"
	for dir, want := range map[string]string{
		"/var/tmp": "ext4 on /dev/vda", "/tmp/data/x": "xfs on /dev/vdb", "/tmp/database": "in MEMORY", "/tmp": "in MEMORY",
	} {
		if got := fileSystem(dir, mounts); !strings.Contains(got, want) {
			t.Errorf("%s is on %q, want %q", dir, got, want)
		}
	}
}
