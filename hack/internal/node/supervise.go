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

// Supervise is the supervisor's main function. Start starts it: it needs the
// namespaces and sockets that it is given there. It returns when it is told to
// stop (SIGTERM), after it has stopped the components.
func Supervise(dir Dir) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if os.Getpid() != 1 {
		return errors.New("the supervisor is started by `up`, in namespaces of its own")
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
	// /proc is still the host's here, so this is how the host sees this process.
	self, err := process.Self()
	if err != nil {
		return err
	}
	if err := state.WriteJSON(dir.record(), Record{ID: self, Fingerprint: config.Fingerprint, Started: time.Now()}); err != nil {
		return err
	}
	listeners, err := takeListeners(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reaper := newReaper()
	if err := enter(dir, config, reaper); err != nil {
		return err
	}
	slog.Info("the node begins", "pid", self.PID)
	serve(ctx, dir, config, listeners, newKeeper(dir, reaper, config.Components))
	return nil
}

// serve runs everything until the context ends. The first component, the
// database, is stopped last.
func serve(ctx context.Context, dir Dir, config Config, listeners []net.Listener, k *keeper) {
	first, rest := config.Components[0], config.Components[1:]
	firstCtx, stopFirst := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFirst()
	var others, database sync.WaitGroup
	database.Go(func() { k.keep(firstCtx, first) })
	for _, component := range rest {
		others.Go(func() { k.keep(ctx, component) })
	}
	for i, address := range config.Forwards {
		go forward(ctx, listeners[i], address)
	}
	go trim(ctx, dir.Path("log"))
	go provision(ctx, config.VolumesKubeconfig, dir.Path("volumes"))

	<-ctx.Done()
	slog.Info("the node ends")
	others.Wait()
	stopFirst()
	database.Wait()
}

// takeListeners takes over the sockets that the supervisor was started with, so
// that no component inherits them.
func takeListeners(config Config) ([]net.Listener, error) {
	var listeners []net.Listener
	for i, address := range config.Forwards {
		file := os.NewFile(uintptr(firstListener+i), address)
		listener, err := net.FileListener(file) // of a copy, which programs do not inherit
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("take the listening socket for %s: %w", address, err)
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
	logLimit  = 64 << 20
	trimEvery = time.Minute
)

// trim keeps the logs of a long-lived cluster from filling the disk: a log that
// has grown too long goes on from empty, its past kept once beside it.
func trim(ctx context.Context, logs string) {
	for ticker := time.NewTicker(trimEvery); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		files, _ := filepath.Glob(filepath.Join(logs, "*.log"))
		for _, file := range files {
			if err := trimLog(file, logLimit); err != nil {
				slog.Error("trim a log", "file", file, "error", err.Error())
			}
		}
	}
}

// trimLog copies and empties the file instead of moving it, since a component
// has it open.
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
