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

// reaper starts processes and collects their ends. It also collects those of
// processes that it did not start: the first process of a pid namespace is
// given every orphan. Nothing else in the process may wait for children.
type reaper struct {
	mu    sync.Mutex
	exits map[int]chan syscall.WaitStatus
}

func newReaper() *reaper {
	r := &reaper{exits: map[int]chan syscall.WaitStatus{}}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		// The ticker makes up for a signal that came while one was pending.
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

// start runs a program with its output appended to the log. Its end is sent to
// the returned channel, once.
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

	r.mu.Lock() // or it might be collected before it is known
	defer r.mu.Unlock()
	pid, err = syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Env:   []string{"PATH=" + os.Getenv("PATH"), "HOME=/root"},
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	end := make(chan syscall.WaitStatus, 1)
	r.exits[pid] = end
	return pid, end, nil
}

// run runs a program to its end.
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
