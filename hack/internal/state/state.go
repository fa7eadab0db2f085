// Package state writes small files atomically, so that a crash does not damage
// them, and provides locks between processes, which the kernel releases when
// their holder ends.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Write creates or replaces a file atomically. It creates the file's folder with
// mode 0700 if it does not exist.
func Write(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(temporary.Name(), path)
}

// WriteJSON writes a value as JSON, atomically and with mode 0600.
func WriteJSON(path string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return Write(path, append(data, '\n'), 0o600)
}

// ReadJSON reads a file that WriteJSON wrote. The error is fs.ErrNotExist if the
// file does not exist.
func ReadJSON(path string, value any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// Lock is a lock between processes (flock(2)). It is held until Close or until the
// process ends.
type Lock struct{ file *os.File }

// Acquire acquires the lock on the file at path. If another process holds the
// lock, Acquire calls waiting once and then waits.
func Acquire(path string, waiting func()) (*Lock, error) {
	lock, err := open(path)
	if err != nil {
		return nil, err
	}
	err = flock(lock, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		waiting()
		err = flock(lock, unix.LOCK_EX)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{lock}, nil
}

// ErrHeld is returned by TryAcquire if another process holds the lock.
var ErrHeld = errors.New("another process holds the lock")

// TryAcquire acquires the lock on the file at path, or returns ErrHeld.
func TryAcquire(path string) (*Lock, error) {
	lock, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := flock(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrHeld
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{lock}, nil
}

// Close releases the lock.
func (l *Lock) Close() error { return l.file.Close() }

func open(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

func flock(file *os.File, how int) error {
	for {
		if err := unix.Flock(int(file.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
