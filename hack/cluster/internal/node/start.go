package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"ecommerce-stack.dev/hack/internal/state"
)

// Start starts a supervisor, which outlives this process, with the command line
// args, and returns when the supervisor has written its record. The supervisor
// inherits the listeners; the caller closes its copies.
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
		_ = cmd.Wait() // cmd.ProcessState has the same information
		close(ended)
	}()
	const timeout = 10 * time.Second
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		if _, ok := Running(dir); ok {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("the supervisor ended during its start: %s", cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("the supervisor did not start within %s", timeout)
}

// Running returns the record of the supervisor and reports whether it runs. A
// supervisor that is being killed and has released its lock does not run.
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

// supervisorStopTimeout allows for the other components and then etcd to stop.
const supervisorStopTimeout = 25 * time.Second

// Stop stops the supervisor, and with it all processes of the node, and returns
// when they have ended. It returns nil if no supervisor runs.
func Stop(dir Dir) error {
	if _, err := os.Stat(dir.lock()); errors.Is(err, fs.ErrNotExist) {
		return nil // no supervisor was ever started
	}
	// Wait for the lock and not for the record: a supervisor holds the lock from
	// before it writes the record until it has ended.
	const timeout = 10 * time.Second
	err := wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, timeout, true, func(context.Context) (bool, error) {
		if record, ok := Running(dir); ok {
			if err := record.Stop(supervisorStopTimeout); err != nil {
				return false, fmt.Errorf("stop the cluster: %w", err)
			}
		}
		lock, err := state.TryAcquire(dir.lock())
		if errors.Is(err, state.ErrHeld) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, lock.Close()
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("stop the cluster: a supervisor without a record holds %s: find its process with `fuser %[1]s` and kill it", dir.lock())
	}
	return err
}

// Statuses returns the states of the components in the order of their start.
func Statuses(dir Dir) ([]Status, error) {
	var statuses []Status
	err := state.ReadJSON(dir.status(), &statuses)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the supervisor has not started its components yet
	}
	return statuses, err
}
