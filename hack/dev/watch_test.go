package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// write writes a file below dir and returns its path.
func write(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(time.Now().String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSavedFileAffectsTheServicesThatContainIt(t *testing.T) {
	t.Parallel()
	w := &watcher{files: map[string][]string{
		"stock": {"/stock/main.go", "/stock/migrations/1.sql", "/problem/problem.go"},
		"sales": {"/sales/main.go", "/problem/problem.go"},
	}}
	for file, want := range map[string][]string{
		"/stock/main.go":           {"stock"},
		"/stock/new.go":            {"stock"},
		"/stock/migrations/2.sql":  {"stock"},
		"/problem/problem.go":      {"stock", "sales"},
		"/problem/new.go":          {"stock", "sales"},
		"/problem/problem_test.go": nil,
		"/stock/main.go.swp":       nil,
		"/stock/README.md":         nil,
		"/gateway/main.go":         nil,
	} {
		if got := w.affected(file); !slices.Equal(got, want) {
			t.Errorf("%s: affected %q, want %q", file, got, want)
		}
	}
}

func TestChangeIsReportedAfterFilesAreSaved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	events, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{events: events, files: map[string][]string{"stock": {write(t, dir, "main.go")}}}
	defer w.Close()
	if err := events.Add(dir); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	changes, ended := make(chan []string, 10), make(chan error)
	go func() { ended <- w.Run(ctx, func(services []string) { changes <- services }) }()
	write(t, dir, "main_test.go")
	write(t, dir, "main.go")
	select {
	case got := <-changes:
		if !slices.Equal(got, []string{"stock"}) {
			t.Errorf("changed %q, want stock", got)
		}
	case <-time.After(30 * time.Second):
		t.Error("no change")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
