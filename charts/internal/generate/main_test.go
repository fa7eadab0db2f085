package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"ecommerce-stack.dev/charts"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	committed, scratch := filepath.Join("..", ".."), t.TempDir()
	if err := os.CopyFS(scratch, os.DirFS(committed)); err != nil {
		t.Fatal(err)
	}
	if err := generate(scratch); err != nil {
		t.Fatal(err)
	}
	for _, name := range charts.Names {
		file := filepath.Join(name, "values.schema.json")
		if !bytes.Equal(read(t, filepath.Join(committed, file)), read(t, filepath.Join(scratch, file))) {
			t.Errorf("charts/%s is out of date: run `go generate ./charts`", file)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
