// Package child runs programs that the kernel kills when the bench ends.
package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"ecommerce-stack.dev/hack/testenv"
)

// Child is a running program.
type Child struct {
	PID int

	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// Start starts a program and appends its output to the file log. signal is sent to the
// program when the bench dies; a program with children needs one on which it stops them.
func Start(cmd *exec.Cmd, log string, signal syscall.Signal) (*Child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	c := &Child{cmd: cmd, log: log, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: signal}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the child ends.
		runtime.LockOSThread()
		defer out.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	c.PID = cmd.Process.Pid
	return c, nil
}

// readyTimeout is the time limit of AwaitReady.
const readyTimeout = 30 * time.Second

// AwaitReady calls check until it succeeds. It returns an error with the output of the program
// if the program ends or readyTimeout expires.
func (c *Child) AwaitReady(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			err = fmt.Errorf("%s ended: %w", c.cmd.Path, errors.Join(c.err, err))
		case <-ctx.Done():
			err = fmt.Errorf("%s is not ready: %w", c.cmd.Path, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
			continue
		}
		output, _ := os.ReadFile(c.log) // The error is about the program.
		return fmt.Errorf("%w\n%s", err, output[max(0, len(output)-4096):])
	}
}

// stopTimeout is the time that a program has to end after SIGTERM.
const stopTimeout = 5 * time.Second

// Stop sends SIGTERM to the program, waits at most stopTimeout, and then kills its process
// group.
func (c *Child) Stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // It may have ended.
	select {
	case <-c.done:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(-c.PID, syscall.SIGKILL)
	<-c.done
}

// FreeAddress returns a loopback address with a free port.
func FreeAddress() (string, error) {
	port, err := testenv.FreePort()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}
