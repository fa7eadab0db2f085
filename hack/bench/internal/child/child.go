// Package child runs programs that the kernel kills when the bench ends.
package child

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Spec describes how to start a program.
type Spec struct {
	Path string
	Args []string
	// Env is the environment; nil is that of the bench.
	Env []string
	// Log is the path that its output is appended to; "" discards the output.
	Log string
	// ParentDeathSignal is sent to the program when the bench dies; 0 is SIGKILL. A
	// program with children needs a signal on which it stops them.
	ParentDeathSignal syscall.Signal
}

// Child is a running program.
type Child struct {
	PID int

	spec Spec
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts a program.
func Start(s Spec) (*Child, error) {
	if s.ParentDeathSignal == 0 {
		s.ParentDeathSignal = syscall.SIGKILL
	}
	if s.Log == "" {
		s.Log = os.DevNull
	}
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	c := &Child{spec: s, cmd: exec.Command(s.Path, s.Args...), done: make(chan struct{})}
	c.cmd.Env, c.cmd.Stdout, c.cmd.Stderr = s.Env, log, log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: s.ParentDeathSignal}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the child ends.
		runtime.LockOSThread()
		defer log.Close()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.err = c.cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	c.PID = c.cmd.Process.Pid
	return c, nil
}

// readyTimeout is the time limit of Listening.
const readyTimeout = 30 * time.Second

// Listening waits until the program accepts connections at an address.
func (c *Child) Listening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.done:
			return fmt.Errorf("%s ended: %w\n%s", c.spec.Path, errors.Join(c.err, err), c.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w\n%s", c.spec.Path, address, errors.Join(err, ctx.Err()), c.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *Child) tail() string {
	if c.spec.Log == os.DevNull {
		return ""
	}
	content, err := os.ReadFile(c.spec.Log)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-4096):])
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
