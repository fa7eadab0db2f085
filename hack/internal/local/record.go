package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	proc "ecommerce-stack.dev/hack/internal/process"
	"ecommerce-stack.dev/hack/internal/state"
)

// recordFile has the identities of the processes of a system that keeps its state. They end
// with the program that started them, unless the system cannot tell them that it has ended.
const recordFile = "processes.json"

// record adds processes to recordFile, without those that have ended.
func (s *System) record(pids ...int) error {
	if s.options.StateDir == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var running []proc.ID
	for _, id := range s.recorded {
		if id.Alive() {
			running = append(running, id)
		}
	}
	for _, pid := range pids {
		id, err := proc.Of(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrProcessDone) {
			continue // It has ended, which the caller finds when it waits for it.
		}
		if err != nil {
			return err
		}
		running = append(running, id)
	}
	s.recorded = running
	return state.WriteJSON(filepath.Join(s.Dir, recordFile), running)
}

// leftoverGrace is the time that a database needs to write what it has in memory.
const leftoverGrace = 20 * time.Second

// StopRecorded stops the processes that a killed program has left running on a state folder.
func StopRecorded(dir string) error {
	var recorded []proc.ID
	err := state.ReadJSON(filepath.Join(dir, recordFile), &recorded)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, id := range recorded {
		if err := id.Stop(leftoverGrace); err != nil {
			return fmt.Errorf("stop a process of the last run: %w", err)
		}
	}
	return nil
}
