package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Rebuild builds a set of services, whose files are given, and restarts those whose program
// is another than before. It returns their names. After an error of the compiler everything
// runs as before.
func (s *System) Rebuild(ctx context.Context, files []string, services ...string) (restarted []string, err error) {
	if err := s.buildTo(ctx, newBinaries, files, nil, services...); err != nil {
		return nil, err
	}
	for _, name := range services {
		built, current := filepath.Join(s.Dir, newBinaries, name), filepath.Join(s.Dir, binaries, name)
		same, err := sameContent(built, current)
		if err != nil {
			return nil, err
		}
		if same && s.IsRunning(name) {
			continue
		}
		if err := os.Rename(built, current); err != nil {
			return nil, err
		}
		restarted = append(restarted, name)
	}
	errs := make([]error, len(restarted))
	var wg sync.WaitGroup
	for i, name := range restarted {
		wg.Go(func() { errs[i] = s.replace(ctx, name) })
	}
	wg.Wait()
	return restarted, errors.Join(errs...)
}

// Build builds services with flags of `go build`, such as -overlay, instead of Options.BuildFlags.
// Their processes are restarted by the caller.
func (s *System) Build(ctx context.Context, flags []string, services ...string) error {
	files, err := Sources(s.options.Root, services...)
	if err != nil {
		return err
	}
	s.options.BuildFlags = flags
	return s.buildTo(ctx, binaries, files, nil, services...)
}

// Upgrade replaces the programs of all services by those of another source tree, and migrates the
// schemas with them. Processes that run go on with the earlier programs until they are restarted.
func (s *System) Upgrade(ctx context.Context, root string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return fmt.Errorf("find the source tree: %w", err)
	}
	files, err := Sources(root, Services...)
	if err != nil {
		return err
	}
	s.options.Root = root
	if err := s.buildTo(ctx, newBinaries, files, nil, Services...); err != nil {
		return err
	}
	for _, name := range Services {
		if err := os.Rename(filepath.Join(s.Dir, newBinaries, name), filepath.Join(s.Dir, binaries, name)); err != nil {
			return err
		}
	}
	return s.migrate(ctx, nil)
}

// replace stops a service, migrates its schema and starts it. A former program works with the migrated schema, so it
// can stop meanwhile.
func (s *System) replace(ctx context.Context, name string) error {
	var stopping sync.WaitGroup
	stopping.Go(func() { _ = s.StopService(name) }) // Its error is that of the program that is replaced.
	var err error
	if schemas[name] != "" {
		err = s.migrateSchema(ctx, name)
	}
	stopping.Wait()
	if err != nil {
		return fmt.Errorf("migrate the schema of %w", err)
	}
	return s.Restart(ctx, name)
}

// IsRunning reports whether a service or replica was started and has not ended.
func (s *System) IsRunning(name string) bool {
	s.mu.Lock()
	p := s.running[name]
	s.mu.Unlock()
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// sameContent reports whether two files exist and are equal. It reads no more than it needs: programs differ in
// their first block, which has the build ID.
func sameContent(a, b string) (bool, error) {
	one, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer one.Close()
	other, err := os.Open(b)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer other.Close()
	blocks := [2][]byte{make([]byte, 1<<16), make([]byte, 1<<16)}
	for {
		n, err := io.ReadFull(one, blocks[0])
		m, otherErr := io.ReadFull(other, blocks[1])
		switch {
		case !bytes.Equal(blocks[0][:n], blocks[1][:m]):
			return false, nil
		case err == nil && otherErr == nil:
		case isEnd(err) && isEnd(otherErr):
			return true, nil
		default:
			return false, errors.Join(err, otherErr)
		}
	}
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
