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

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/gobuild"
	"ecommerce-stack.dev/hack/internal/revision"
	"ecommerce-stack.dev/hack/testenv"
)

// process is a running service. The kernel kills it when this program ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

const (
	readyTimeout = time.Minute
	stopTimeout  = 30 * time.Second
)

// binaries and newBinaries are the folders of the programs, and of those that Rebuild builds.
const (
	binaries    = "bin"
	newBinaries = "bin.new"
)

// Services are the names of the services in the order of their start.
var Services = []string{"auth", "stock", "sales", "gateway"}

func (s *System) build(ctx context.Context, detail func(string)) error {
	files, err := Sources(s.options.Root, Services...)
	if err != nil {
		return err
	}
	return s.buildTo(ctx, binaries, files, detail, Services...)
}

// Sources returns the files of the checkout that services are built from.
func Sources(root string, services ...string) ([]string, error) {
	return revision.Sources("go", filepath.Join(root, "services"), packages(services)...)
}

// SourcesByService is Sources with the files of each service.
func SourcesByService(root string, services ...string) (map[string][]string, error) {
	lists, err := revision.SourcesByPackage("go", filepath.Join(root, "services"), packages(services)...)
	if err != nil {
		return nil, err
	}
	files := map[string][]string{}
	for _, name := range services {
		files[name] = lists["./"+name]
	}
	return files, nil
}

func packages(services []string) []string {
	packages := make([]string, 0, len(services))
	for _, name := range services {
		packages = append(packages, "./"+name)
	}
	return packages
}

// buildTo builds services, whose files are given, to a folder in Dir.
func (s *System) buildTo(ctx context.Context, folder string, files []string, detail func(string), services ...string) error {
	from, err := revision.Of(s.options.Root, files)
	if err != nil {
		return err
	}
	// Without the workspace the services have the dependencies of their images. With fewer garbage collections the compiler
	// and the linker take a tenth less time.
	b := gobuild.Build{Go: "go", Dir: filepath.Join(s.options.Root, "services"), Env: []string{"CGO_ENABLED=0", "GOWORK=off", "GOGC=200"},
		Flags: append([]string{"-ldflags", from.LinkerFlags()}, s.options.BuildFlags...), Output: filepath.Join(s.Dir, folder) + "/", Packages: packages(services)}
	if !s.options.Combine || len(services) == 1 {
		return b.Run(ctx, detail)
	}
	overlay, err := writeCombined(s.options.Root, filepath.Join(s.Dir, combined))
	if err != nil {
		return fmt.Errorf("combine the services: %w", err)
	}
	b.Flags, b.Packages = append(b.Flags, overlay), packages([]string{combined})
	if err := b.Run(ctx, detail); err != nil {
		return err
	}
	for _, name := range services {
		program := filepath.Join(s.Dir, folder, name)
		if err := errors.Join(os.RemoveAll(program), os.Link(filepath.Join(s.Dir, folder, combined), program)); err != nil {
			return err
		}
	}
	return nil
}

// migrate migrates the schemas with the account of the owner.
func (s *System) migrate(ctx context.Context, _ func(string)) error {
	for name := range schemas {
		if err := s.migrateSchema(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *System) migrateSchema(ctx context.Context, service string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Dir, binaries, service), "migrate")
	cmd.Env = []string{"MYSQL_DSN=" + s.dsn(service, owner)}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", service, err, out)
	}
	return nil
}

// Replica starts another process of a service, waits until it is ready, and returns
// its name, such as "gateway-2", which all methods accept.
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

// serviceOf returns the service of a replica's name.
func serviceOf(name string) string {
	service, _, _ := strings.Cut(name, "-")
	return service
}

// StartService starts a service or replica and appends its output to LogFile.
func (s *System) StartService(name string) error {
	log, err := os.OpenFile(s.LogFile(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(s.Dir, binaries, serviceOf(name)))
	metrics, err := s.metricsAddress(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	cmd.Env, cmd.Stdout, cmd.Stderr = slices.Concat(s.settings[name], []string{"METRICS_ADDR=" + metrics}, s.options.Env, s.added[name]), log, log
	s.mu.Unlock()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the child ends.
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
	s.running[name] = p
	s.mu.Unlock()
	return s.record(cmd.Process.Pid)
}

// metricsAddress returns the metrics address of a service or replica, which it keeps, because that
// of auth is a setting of others.
func (s *System) metricsAddress(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.metrics[name] == "" {
		address, err := freeAddress()
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		s.metrics[name] = address
	}
	return s.metrics[name], nil
}

// Configure adds variables to the environment of a service or replica, from its next start
// on. They take precedence over Options.Env. The returned function removes them.
func (s *System) Configure(name string, env ...string) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added[name] = env
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.added, name)
	}
}

// Setting returns a variable of the environment of a service or replica, without those of
// Configure and Options.Env. It is empty for one that is not set.
func (s *System) Setting(name, variable string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.settings[name] {
		if value, ok := strings.CutPrefix(v, variable+"="); ok {
			return value
		}
	}
	return ""
}

// removeRunning removes a service from the running ones and returns its process,
// or nil if it does not run.
func (s *System) removeRunning(name string) *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.running[name]
	delete(s.running, name)
	return p
}

// StopService sends SIGTERM to a service and waits until it ends. It kills the
// service and returns an error after stopTimeout.
func (s *System) StopService(name string) error {
	p := s.removeRunning(name)
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

// Kill kills a service to simulate a crash.
func (s *System) Kill(name string) {
	if p := s.removeRunning(name); p != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// PID returns the process ID of a running service.
func (s *System) PID(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[name].cmd.Process.Pid
}

// WaitUntilReady waits until the readiness probe of a service or replica succeeds, at most
// a minute.
func (s *System) WaitUntilReady(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	s.mu.Lock()
	p := s.running[name]
	s.mu.Unlock()
	for {
		err := client.CheckReady(ctx, "http://"+s.address(name)+"/readyz")
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
	return s.WaitUntilReady(ctx, name)
}

func (s *System) tail(name string) string {
	content, err := os.ReadFile(s.LogFile(name))
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-4096):])
}

// freeAddress returns a loopback address with a free port.
func freeAddress() (string, error) {
	port, err := testenv.FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}
