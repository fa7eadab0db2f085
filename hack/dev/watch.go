package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"ecommerce-stack.dev/hack/internal/local"
)

// quietTime is how long no file must change before a build: editors and `git checkout` write
// many files in a row.
const quietTime = 100 * time.Millisecond

// watcher finds the services whose sources change. It watches the folders of the files that
// each service is built from, those of shared packages and embedded files included.
type watcher struct {
	root   string
	events *fsnotify.Watcher

	mu    sync.Mutex
	files map[string][]string // of each service
}

// newWatcher begins to watch the sources of all services.
func newWatcher(root string) (*watcher, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the sources: %w", err)
	}
	w := &watcher{root: root, events: events, files: map[string][]string{}}
	if err := w.Refresh(local.Services); err != nil {
		return nil, errors.Join(err, events.Close())
	}
	return w, nil
}

// Close stops the watch.
func (w *watcher) Close() error { return w.events.Close() }

// Refresh reads the lists of files of services again, and watches new folders.
func (w *watcher) Refresh(services []string) error {
	lists, err := local.SourcesByService(w.root, services...)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, service := range services {
		w.files[service] = lists[service]
		for _, file := range lists[service] {
			// A folder that is watched already is not watched twice.
			if err := w.events.Add(filepath.Dir(file)); err != nil {
				return fmt.Errorf("watch %s: %w (a limit is raised with `sysctl fs.inotify.max_user_watches=524288`)", filepath.Dir(file), err)
			}
		}
	}
	return nil
}

// Files returns the files of services.
func (w *watcher) Files(services []string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var files []string
	for _, service := range services {
		files = append(files, w.files[service]...)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// affected returns the services that a file is a part of, or becomes one of as a new file.
func (w *watcher) affected(file string) []string {
	if strings.HasSuffix(file, "_test.go") {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var services []string
	for _, service := range local.Services {
		if slices.ContainsFunc(w.files[service], func(known string) bool {
			return known == file || filepath.Dir(known) == filepath.Dir(file) && filepath.Ext(known) == filepath.Ext(file)
		}) {
			services = append(services, service)
		}
	}
	return services
}

// Run calls changed with the services whose sources have changed, until ctx ends. Changes
// during a call are part of the next one.
func (w *watcher) Run(ctx context.Context, changed func(services []string)) error {
	pending := map[string]bool{}
	quiet := time.NewTimer(0)
	<-quiet.C
	for {
		select {
		case <-ctx.Done():
			return nil
		case err, ok := <-w.events.Errors:
			if !ok {
				return nil
			}
			// Events were lost: any service may have changed.
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("watch the sources: %w", err)
			}
			for _, service := range local.Services {
				pending[service] = true
			}
			quiet.Reset(quietTime)
		case event, ok := <-w.events.Events:
			if !ok {
				return nil
			}
			services := w.affected(event.Name)
			if len(services) == 0 || event.Op == fsnotify.Chmod {
				continue
			}
			for _, service := range services {
				pending[service] = true
			}
			quiet.Reset(quietTime)
		case <-quiet.C:
			var services []string
			for _, service := range local.Services {
				if pending[service] {
					services = append(services, service)
				}
			}
			clear(pending)
			changed(services)
		}
	}
}
