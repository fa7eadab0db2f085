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

// dirPrefix of the temporary directories; the pid of the process that made one
// follows, so that a later process can sweep what a killed one left.
const dirPrefix = "ecommerce-testenv-"

// startDeadline bounds the start of a server, on a machine that is busy with
// other things.
const startDeadline = 3 * time.Minute

// process is a server's program with its log; it dies with the process that
// started it, however that one ends.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// spawn starts a program with its output in logPath.
func spawn(logPath string, env []string, name string, args ...string) (*process, error) {
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
		// The death signal is sent when the thread that started the child ends, so
		// this one is kept until the child is gone.
		runtime.LockOSThread()
		defer log.Close()
		err := cmd.Start()
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

// stop ends the program: politely, then by force after ten seconds.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// waitUntil polls ready until it succeeds, the program ends, or the deadline
// passes; then the error ends with the tail of the log.
func (p *process) waitUntil(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
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
			return fmt.Errorf("%s is not ready after %s: %w\n%s", p.cmd.Path, startDeadline, err, tail(p.log))
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

// find looks a program up on PATH and where Debian keeps servers.
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

// Ports that FreePort gives are below those that the kernel gives to whoever asks for
// any (net.ipv4.ip_local_port_range begins at 32768): until its new owner listens on it,
// nobody gets one by chance.
const (
	firstPort = 15000
	ports     = 17000
)

// handedOut are the ports that this process has given, so that none is given twice.
var handedOut sync.Map

// FreePort is a loopback port that nobody listens on.
func FreePort() (int, error) {
	for range 100 {
		port := firstPort + rand.IntN(ports)
		if _, taken := handedOut.LoadOrStore(port, true); taken {
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

// newDir makes a temporary directory and sweeps those of processes that are gone.
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
		return "", fmt.Errorf("make a directory for %s: %w", what, err)
	}
	return dir, nil
}
