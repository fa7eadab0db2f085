// Package child runs programs that end with the bench, however that one ends.
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

// Spec of a program.
type Spec struct {
	Path string
	Args []string
	// Env is its whole environment, ours if nil.
	Env []string
	// Log takes its output; none is kept when it is empty.
	Log string
	// Orphaned is the signal that it gets when the bench dies, SIGKILL if 0. A program
	// with children of its own wants one that it can pass on.
	Orphaned syscall.Signal
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
	if s.Orphaned == 0 {
		s.Orphaned = syscall.SIGKILL
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
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: s.Orphaned}
	started := make(chan error)
	go func() {
		// The death signal is sent when the thread that started the child ends.
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

// readyTime bounds the wait for a program.
const readyTime = 30 * time.Second

// Listening waits until the program takes connections at an address.
func (c *Child) Listening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
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

// stopTime is how long a program may take to end by itself.
const stopTime = 5 * time.Second

// Stop ends the program and all of its group.
func (c *Child) Stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // It may have ended.
	select {
	case <-c.done:
	case <-time.After(stopTime):
	}
	_ = syscall.Kill(-c.PID, syscall.SIGKILL)
	<-c.done
}

// FreeAddress is a loopback address that nobody listens on.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
