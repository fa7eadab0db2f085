package child

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestFolderRemovesFoldersOfEndedRuns(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	abandoned := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-edge-1", prefix, ended.Process.Pid))
	foreign := filepath.Join(os.TempDir(), prefix+"notes")
	for _, dir := range []string{abandoned, foreign} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	first, err := Folder("edge")
	if err != nil {
		t.Fatal(err)
	}
	second, err := Folder("edge")
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{abandoned: false, foreign: true, first: true, second: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v; want it to exist: %t", dir, err, want)
		}
	}
}
