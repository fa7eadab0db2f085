package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ecommerce-stack.dev/hack/internal/store"
	"ecommerce-stack.dev/hack/testenv"
)

// process is a running service. It dies with this program, however that one ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

const (
	readyTimeout = time.Minute
	stopTimeout  = 30 * time.Second
)

func (s *System) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", s.Dir+"/bin/",
		"./services/auth", "./services/stock", "./services/sales", "./services/gateway")
	cmd.Dir, cmd.Env = s.options.Root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// migrate brings each schema up to date with the owner's account.
func (s *System) migrate(ctx context.Context) error {
	for _, name := range []string{"auth", "stock", "sales"} {
		cmd := exec.CommandContext(ctx, filepath.Join(s.Dir, "bin", name), "migrate")
		cmd.Env = []string{"MYSQL_DSN=" + s.dsn(name, owner)}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// Replica starts another process of a service, waits until it is ready, and returns
// its name, such as "gateway-2", for which every method takes it.
func (s *System) Replica(ctx context.Context, service string) (string, error) {
	address, err := freeAddress()
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	s.mu.Lock()
	name := service
	for n := 2; s.addresses[name] != ""; n++ {
		name = fmt.Sprintf("%s-%d", service, n)
	}
	env := slices.DeleteFunc(slices.Clone(s.settings[service]), func(v string) bool { return strings.HasPrefix(v, "HTTP_ADDR=") })
	s.addresses[name], s.settings[name] = address, append(env, "HTTP_ADDR="+address)
	s.mu.Unlock()
	return name, s.Restart(ctx, name)
}

// program is the service that a name is a replica of.
func program(name string) string {
	service, _, _ := strings.Cut(name, "-")
	return service
}

// StartService starts a service, with its output in LogFile.
func (s *System) StartService(name string) error {
	log, err := os.OpenFile(s.LogFile(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(s.Dir, "bin", program(name)))
	metrics, err := freeAddress()
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	s.mu.Lock()
	s.metrics[name] = metrics
	cmd.Env, cmd.Stdout, cmd.Stderr = slices.Concat(s.settings[name], []string{"METRICS_ADDR=" + metrics}, s.options.Env), log, log
	s.mu.Unlock()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The death signal is sent when the thread that started the child ends.
		runtime.LockOSThread()
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[name] = p
	return nil
}

// take removes a running service from the books, or returns nil.
func (s *System) take(name string) *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.running[name]
	delete(s.running, name)
	return p
}

// StopService asks a service to stop and waits until it did.
func (s *System) StopService(name string) error {
	p := s.take(name)
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // It may have ended.
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s: %w\n%s", name, p.err, s.tail(name))
		}
		return nil
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop within %s and was killed\n%s", name, stopTimeout, s.tail(name))
	}
}

// Kill ends a service at once, as a crash would.
func (s *System) Kill(name string) {
	if p := s.take(name); p != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// PID of a running service.
func (s *System) PID(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[name].cmd.Process.Pid
}

// ready waits until a service takes requests.
func (s *System) ready(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	s.mu.Lock()
	p := s.running[name]
	s.mu.Unlock()
	for {
		err := store.Answers(ctx, "http://"+s.address(name)+"/readyz")
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %w\n%s", name, p.err, s.tail(name))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", name, errors.Join(err, ctx.Err()), s.tail(name))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Restart starts a service that was stopped or killed and waits until it is ready.
func (s *System) Restart(ctx context.Context, name string) error {
	if err := s.StartService(name); err != nil {
		return err
	}
	return s.ready(ctx, name)
}

func (s *System) tail(name string) string {
	content, err := os.ReadFile(s.LogFile(name))
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-4096):])
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress() (string, error) {
	port, err := testenv.FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}
