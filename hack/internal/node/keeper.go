package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"ecommerce-stack.dev/hack/internal/state"
)

// keeper keeps components running and writes down how they fare.
type keeper struct {
	dir    Dir
	reaper *reaper
	probe  func(ctx context.Context, address string) error

	mu       sync.Mutex
	statuses []Status
	ready    map[string]chan struct{} // closed when ready for the first time
}

func newKeeper(dir Dir, reaper *reaper, components []Component) *keeper {
	k := &keeper{dir: dir, reaper: reaper, probe: probe, ready: map[string]chan struct{}{}}
	for _, c := range components {
		k.statuses = append(k.statuses, Status{Name: c.Name})
		k.ready[c.Name] = make(chan struct{})
	}
	return k
}

const (
	// steady is how long a component has to run before an end of it counts as a
	// new trouble and not as more of the last one.
	steady     = time.Minute
	stopGrace  = 8 * time.Second
	probeEvery = 200 * time.Millisecond
	checkEvery = 5 * time.Second
)

// backoff is how long to wait before the nth start in a row.
func backoff(n int) time.Duration {
	const first, most = 300 * time.Millisecond, 15 * time.Second
	if n > 6 {
		return most
	}
	return min(first<<n, most)
}

// keep runs the component until the context ends, then stops it.
func (k *keeper) keep(ctx context.Context, c Component) {
	for _, name := range c.After {
		select {
		case <-k.ready[name]:
		case <-ctx.Done():
			return
		}
	}
	for failures := 0; ; failures++ {
		began := time.Now()
		how := k.once(ctx, c)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > steady {
			failures = 0
		}
		slog.Warn("component ended", "component", c.Name, "how", how, "startsAgainIn", backoff(failures).String())
		select {
		case <-time.After(backoff(failures)):
		case <-ctx.Done():
			return
		}
		k.update(c.Name, func(s *Status) { s.Restarts++ })
	}
}

// once runs the component to its end and says how it ended.
func (k *keeper) once(ctx context.Context, c Component) string {
	pid, exit, err := k.reaper.start(c.Args, k.dir.Log(c.Name))
	if err != nil {
		k.update(c.Name, func(s *Status) { s.LastExit = err.Error() })
		return err.Error()
	}
	k.update(c.Name, func(s *Status) { s.PID, s.Since = pid, time.Now() })
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { k.watch(watching, c) })

	var status syscall.WaitStatus
	select {
	case status = <-exit:
	case <-ctx.Done():
		status = end(pid, exit)
	}
	stop()
	watch.Wait()
	how := describe(status)
	k.update(c.Name, func(s *Status) { s.PID, s.Ready, s.LastExit = 0, false, how })
	return how
}

// end asks a process to stop and insists when it takes too long.
func end(pid int, exit <-chan syscall.WaitStatus) syscall.WaitStatus {
	_ = syscall.Kill(pid, syscall.SIGTERM)
	select {
	case status := <-exit:
		return status
	case <-time.After(stopGrace):
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	return <-exit
}

// watch probes the component until the context ends.
func (k *keeper) watch(ctx context.Context, c Component) {
	for wasReady := false; ; {
		isReady := k.probe(ctx, c.Probe) == nil
		if ctx.Err() != nil {
			return
		}
		if isReady != wasReady {
			k.update(c.Name, func(s *Status) { s.Ready = isReady })
			slog.Info("component", "component", c.Name, "ready", isReady)
			wasReady = isReady
		}
		pause := probeEvery
		if isReady {
			k.announce(c.Name)
			pause = checkEvery
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (k *keeper) announce(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.ready[name]:
	default:
		close(k.ready[name])
	}
}

func (k *keeper) update(name string, change func(*Status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.statuses {
		if k.statuses[i].Name == name {
			change(&k.statuses[i])
		}
	}
	if err := state.WriteJSON(k.dir.status(), k.statuses); err != nil {
		slog.Error("write the status", "error", fmt.Sprint(err))
	}
}
