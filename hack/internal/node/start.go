package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"ecommerce-stack.dev/hack/internal/state"
)

// Start starts a supervisor that outlives this process, as the program's
// arguments say, and returns when it has recorded itself. The listeners' ends
// are the supervisor's from then on.
func Start(dir Dir, config Config, args []string, listeners []*net.TCPListener) error {
	if err := state.WriteJSON(dir.config(), config); err != nil {
		return err
	}
	if err := os.MkdirAll(dir.Path("log"), 0o700); err != nil {
		return err
	}
	for _, old := range []string{dir.record(), dir.status(), dir.Containerd()} {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	log, err := os.OpenFile(dir.Log("supervisor"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:       true,
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Unshareflags: syscall.CLONE_NEWNS,
	}
	for _, listener := range listeners {
		file, err := listener.File()
		if err != nil {
			return err
		}
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	return awaitRecord(dir, cmd)
}

func awaitRecord(dir Dir, cmd *exec.Cmd) error {
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state says the same
		close(ended)
	}()
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, ok := Running(dir); ok {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("the supervisor ended at once: %s", cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("the supervisor did not come up within %s", patience)
}

// Running returns the record of the supervisor, if it runs. One that is being
// killed does not: it has let go of its lock before it is gone.
func Running(dir Dir) (Record, bool) {
	var record Record
	if err := state.ReadJSON(dir.record(), &record); err != nil || !record.Alive() {
		return Record{}, false
	}
	lock, err := state.TryAcquire(dir.lock())
	if err == nil {
		lock.Close()
	}
	return record, errors.Is(err, state.ErrHeld)
}

// stopPatience is for the components to end one after another: etcd last.
const stopPatience = 25 * time.Second

// Stop ends the supervisor, and thereby everything in the node, and returns
// when all of it is gone. Stopping what does not run is fine.
func Stop(dir Dir) error {
	if _, err := os.Stat(dir.lock()); errors.Is(err, fs.ErrNotExist) {
		return nil // none ever began
	}
	// The lock tells more than the record: a supervisor holds it from before it
	// has recorded itself until it is gone.
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if record, ok := Running(dir); ok {
			if err := record.Stop(stopPatience); err != nil {
				return fmt.Errorf("stop the cluster: %w", err)
			}
		}
		lock, err := state.TryAcquire(dir.lock())
		if err == nil {
			return lock.Close()
		}
		if !errors.Is(err, state.ErrHeld) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a supervisor that has no record holds %s: find it with `fuser %[1]s` and end it", dir.lock())
		}
	}
}

// Statuses returns how the components fare, in the order they start.
func Statuses(dir Dir) ([]Status, error) {
	var statuses []Status
	err := state.ReadJSON(dir.status(), &statuses)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the supervisor has only just begun
	}
	return statuses, err
}
