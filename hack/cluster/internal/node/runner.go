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

// runner runs components, restarts those that end, and records their status in a
// file.
type runner struct {
	dir    Dir
	reaper *reaper
	probe  func(ctx context.Context, address string) error

	mu       sync.Mutex
	statuses []Status
	ready    map[string]chan struct{} // closed when the component is ready for the first time
}

func newRunner(dir Dir, reaper *reaper, components []Component) *runner {
	r := &runner{dir: dir, reaper: reaper, probe: probe, ready: map[string]chan struct{}{}}
	for _, c := range components {
		r.statuses = append(r.statuses, Status{Name: c.Name})
		r.ready[c.Name] = make(chan struct{})
	}
	return r
}

const (
	// stableAfter is how long a component has to run before the back-off of its
	// restarts begins again at the shortest delay.
	stableAfter          = time.Minute
	stopTimeout          = 8 * time.Second
	startupProbeInterval = 200 * time.Millisecond
	probeInterval        = 5 * time.Second
)

// backoff returns the delay before a restart after n failures in a row.
func backoff(n int) time.Duration {
	const shortest, longest = 300 * time.Millisecond, 15 * time.Second
	if n > 6 {
		return longest
	}
	return min(shortest<<n, longest)
}

// run runs and restarts the component until the context is canceled, then stops
// it. It starts the component when the components that it depends on are ready.
func (r *runner) run(ctx context.Context, c Component) {
	for _, name := range c.After {
		select {
		case <-r.ready[name]:
		case <-ctx.Done():
			return
		}
	}
	for failures := 0; ; failures++ {
		began := time.Now()
		reason := r.runOnce(ctx, c)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > stableAfter {
			failures = 0
		}
		slog.Warn("component ended", "component", c.Name, "reason", reason, "restartIn", backoff(failures).String())
		select {
		case <-time.After(backoff(failures)):
		case <-ctx.Done():
			return
		}
		r.update(c.Name, func(s *Status) { s.Restarts++ })
	}
}

// runOnce starts the component, waits until it ends, and returns how it ended.
// It stops the component when the context is canceled.
func (r *runner) runOnce(ctx context.Context, c Component) string {
	pid, exit, err := r.reaper.start(c.Args, r.dir.Log(c.Name))
	if err != nil {
		r.update(c.Name, func(s *Status) { s.LastExit = err.Error() })
		return err.Error()
	}
	r.update(c.Name, func(s *Status) { s.PID, s.Since = pid, time.Now() })
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { r.watch(watching, c) })

	var status syscall.WaitStatus
	select {
	case status = <-exit:
	case <-ctx.Done():
		status = terminate(pid, exit)
	}
	stop()
	watch.Wait()
	reason := describe(status)
	r.update(c.Name, func(s *Status) { s.PID, s.Ready, s.LastExit = 0, false, reason })
	return reason
}

// terminate sends SIGTERM to the process, and SIGKILL after stopTimeout.
func terminate(pid int, exit <-chan syscall.WaitStatus) syscall.WaitStatus {
	_ = syscall.Kill(pid, syscall.SIGTERM)
	select {
	case status := <-exit:
		return status
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	return <-exit
}

// watch probes the component until the context is canceled.
func (r *runner) watch(ctx context.Context, c Component) {
	for wasReady := false; ; {
		isReady := r.probe(ctx, c.Probe) == nil
		if ctx.Err() != nil {
			return
		}
		if isReady != wasReady {
			r.update(c.Name, func(s *Status) { s.Ready = isReady })
			slog.Info("component readiness changed", "component", c.Name, "ready", isReady)
			wasReady = isReady
		}
		pause := startupProbeInterval
		if isReady {
			r.markReady(c.Name)
			pause = probeInterval
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (r *runner) markReady(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.ready[name]:
	default:
		close(r.ready[name])
	}
}

func (r *runner) update(name string, change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.statuses {
		if r.statuses[i].Name == name {
			change(&r.statuses[i])
		}
	}
	if err := state.WriteJSON(r.dir.status(), r.statuses); err != nil {
		slog.Error("cannot write the status", "error", fmt.Sprint(err))
	}
}
