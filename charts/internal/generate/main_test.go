package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	repository := filepath.Join("..", "..", "..")
	scratch := t.TempDir()
	for _, folder := range []string{"charts", filepath.Join("config", "crd")} {
		if err := os.CopyFS(filepath.Join(scratch, folder), os.DirFS(filepath.Join(repository, folder))); err != nil {
			t.Fatal(err)
		}
	}
	if err := generate(filepath.Join(scratch, "charts")); err != nil {
		t.Fatal(err)
	}
	committed, fresh := files(t, filepath.Join(repository, "charts")), files(t, filepath.Join(scratch, "charts"))
	for name := range committed {
		if _, found := fresh[name]; !found {
			t.Errorf("charts/%s is not generated any more: run `go generate ./charts`", name)
		}
	}
	for name, content := range fresh {
		if !bytes.Equal(committed[name], content) {
			t.Errorf("charts/%s is out of date: run `go generate ./charts`", name)
		}
	}
}

func files(t *testing.T, root string) map[string][]byte {
	t.Helper()
	contents := map[string][]byte{}
	fsys := os.DirFS(root)
	if err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contents[name], err = fs.ReadFile(fsys, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return contents
}
