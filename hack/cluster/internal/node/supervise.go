package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"ecommerce-stack.dev/hack/internal/process"
	"ecommerce-stack.dev/hack/internal/state"
)

// firstListener is the descriptor of the first listening socket.
const firstListener = 3

// Supervise runs the components of the node until SIGTERM or SIGINT arrives, then
// stops them and returns. It is the main function of the process that Start
// starts, and depends on the namespaces and sockets that Start passes.
func Supervise(dir Dir) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if os.Getpid() != 1 {
		return errors.New("the supervisor must run in new namespaces: start it with `up`")
	}
	lock, err := state.TryAcquire(dir.lock())
	if err != nil {
		return err
	}
	defer lock.Close()
	var config Config
	if err := state.ReadJSON(dir.config(), &config); err != nil {
		return err
	}
	// /proc is still the host's, so this is the process ID in the host's namespace.
	self, err := process.Self()
	if err != nil {
		return err
	}
	if err := state.WriteJSON(dir.record(), Record{ID: self, Fingerprint: config.Fingerprint, Started: time.Now()}); err != nil {
		return err
	}
	listeners, err := openListeners(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reaper := newReaper()
	if err := setUpNamespaces(dir, config, reaper); err != nil {
		return err
	}
	slog.Info("node started", "pid", self.PID)
	serve(ctx, dir, config, listeners, newRunner(dir, reaper, config.Components))
	return nil
}

// serve runs the components, forwards and background tasks until the context is
// canceled. It stops the first component, etcd, last.
func serve(ctx context.Context, dir Dir, config Config, listeners []net.Listener, r *runner) {
	first, rest := config.Components[0], config.Components[1:]
	firstCtx, stopFirst := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFirst()
	var others, database sync.WaitGroup
	database.Go(func() { r.run(firstCtx, first) })
	for _, component := range rest {
		others.Go(func() { r.run(ctx, component) })
	}
	for i, address := range config.Forwards {
		go forward(ctx, listeners[i], address)
	}
	go trimLogs(ctx, dir.Path("log"))
	go provision(ctx, config.VolumesKubeconfig, dir.Path("volumes"))

	<-ctx.Done()
	slog.Info("node stopping")
	others.Wait()
	stopFirst()
	database.Wait()
}

// openListeners returns listeners for the inherited sockets, and closes the
// inherited descriptors, so that no component inherits them.
func openListeners(config Config) ([]net.Listener, error) {
	var listeners []net.Listener
	for i, address := range config.Forwards {
		file := os.NewFile(uintptr(firstListener+i), address)
		listener, err := net.FileListener(file) // duplicates the descriptor with close-on-exec
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("open the listening socket for %s: %w", address, err)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w (PATH is %s)", err, os.Getenv("PATH"))
	}
	return path, nil
}

const (
	maxLogSize   = 64 << 20
	trimInterval = time.Minute
)

// trimLogs limits the size of the logs until the context is canceled: a log that
// reaches maxLogSize is moved to a file that ends in .old and replaces the
// previous one.
func trimLogs(ctx context.Context, logs string) {
	for ticker := time.NewTicker(trimInterval); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		files, _ := filepath.Glob(filepath.Join(logs, "*.log"))
		for _, file := range files {
			if err := trimLog(file, maxLogSize); err != nil {
				slog.Error("cannot trim a log", "file", file, "error", err.Error())
			}
		}
	}
}

// trimLog copies and truncates a log of at least limit bytes. It does not rename
// the log, because a component has it open.
func trimLog(file string, limit int64) error {
	info, err := os.Stat(file)
	if err != nil || info.Size() < limit {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := state.Write(strings.TrimSuffix(file, ".log")+".old", data, 0o600); err != nil {
		return err
	}
	return os.Truncate(file, 0)
}
