package node

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reaper starts processes and waits for them. It also waits for orphans, whose
// parent becomes the first process of the PID namespace. Nothing else in this
// process may wait for children.
type reaper struct {
	mu    sync.Mutex
	exits map[int]chan syscall.WaitStatus
}

func newReaper() *reaper {
	r := &reaper{exits: map[int]chan syscall.WaitStatus{}}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		// The ticker covers signals that are merged with a pending one.
		for ticker := time.NewTicker(time.Second); ; {
			r.collect()
			select {
			case <-children:
			case <-ticker.C:
			}
		}
	}()
	return r
}

func (r *reaper) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if exit, ours := r.exits[pid]; ours {
			exit <- status
			delete(r.exits, pid)
		}
	}
}

// start starts a program and appends its output to the log. It returns the
// process ID and a channel that receives the wait status once.
func (r *reaper) start(args []string, log string) (pid int, exit <-chan syscall.WaitStatus, err error) {
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, nil, err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()

	r.mu.Lock() // so that collect cannot miss a process that ends immediately
	defer r.mu.Unlock()
	pid, err = syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Env:   []string{"PATH=" + os.Getenv("PATH"), "HOME=/root"},
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	ended := make(chan syscall.WaitStatus, 1)
	r.exits[pid] = ended
	return pid, ended, nil
}

// run starts a program and waits for it. It returns an error if the program
// fails.
func (r *reaper) run(log string, args ...string) error {
	_, exit, err := r.start(args, log)
	if err != nil {
		return err
	}
	if status := <-exit; status.ExitStatus() != 0 {
		return fmt.Errorf("%v: %s (its output is in %s)", args, describe(status), log)
	}
	return nil
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "killed by " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
