package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// dirPrefix is the prefix of temporary directories. The process ID follows, so that
// later processes can remove the directories of killed ones.
const dirPrefix = "ecommerce-testenv-"

// startTimeout is the time limit for the start of a server on a busy machine.
const startTimeout = 3 * time.Minute

// process is a running server. The kernel kills it when the process that started it
// ends.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// spawn starts a program in a namespace, nil for that of this process, and appends its output to logPath.
func spawn(ns *namespace, logPath string, env []string, name string, args ...string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	p := &process{cmd: cmd, log: logPath, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the child ends, so
		// the goroutine keeps its thread until the child has ended.
		runtime.LockOSThread()
		defer log.Close()
		err := ns.run(cmd.Start)
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// stop sends SIGTERM to the program, and SIGKILL to its group after ten seconds.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// kill kills the program with its group.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// waitUntil polls ready until it succeeds. It returns an error with the last lines of
// the log if the program ends or startTimeout expires.
func (p *process) waitUntil(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended while starting: %w\n%s", p.cmd.Path, errors.Join(p.err, err), tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w\n%s", p.cmd.Path, startTimeout, err, tail(p.log))
		case <-tick.C:
		}
	}
}

func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-4096):])
}

// find returns the path of a program on PATH or in Debian's folders of servers.
func find(debianPackage string, names ...string) (string, error) {
	for _, name := range names {
		for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/lib/rabbitmq/bin/" + name} {
			if path, err := exec.LookPath(candidate); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not installed: run `make deps`, or as root `apt-get install %s`",
		strings.Join(names, " or "), debianPackage)
}

// The range of FreePort is below the ephemeral ports (net.ipv4.ip_local_port_range
// begins at 32768), so that the kernel does not assign a returned port to another
// process.
const (
	firstPort = 15000
	portCount = 17000
)

// returnedPorts are the ports that FreePort has returned in this process.
var returnedPorts sync.Map

// FreePort returns a free loopback port that it has not returned before.
func FreePort() (int, error) {
	for range 100 {
		port := firstPort + rand.IntN(portCount)
		if _, taken := returnedPorts.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port, nil
	}
	return 0, errors.New("find a free port: none after 100 tries")
}

// newDir creates a temporary directory and removes those of processes that have ended.
func newDir(what string) (string, error) {
	entries, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range entries {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		n, err := strconv.Atoi(pid)
		if err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-%s-", dirPrefix, os.Getpid(), what))
	if err != nil {
		return "", fmt.Errorf("create a directory for %s: %w", what, err)
	}
	return dir, nil
}
