package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// clockVariable is the variable by which the clock of a process is wrong; see clock.go.
const clockVariable = "CHAOS_CLOCK_OFFSET"

// processKinds are faults of the processes of services.
func processKinds(processes []string) []kind {
	stateful := prefixed(processes, "sales", "stock")
	return []kind{
		{"kill", processes, 0, 3 * time.Second, kill},
		{"kill", stateful, 0, 2 * time.Second, kill},
		{"pause", processes, time.Second, 6 * time.Second, pauseProcess},
		// Longer than the timeouts of statements and sessions of the database, and of confirmations.
		{"pause longer than timeouts", stateful, 16 * time.Second, 20 * time.Second, pauseProcess},
		{"replace", []string{allProcesses}, 0, 0, replace},
		{"wrong clock", stateful, 4 * time.Second, 8 * time.Second, wrongClock},
	}
}

func kill(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
	r.store.Kill(f.Target)
	return func(context.Context) error { return r.store.StartService(f.Target) }, nil
}

func pauseProcess(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
	return pause(r.store.PID(f.Target))
}

// pause stops a process with SIGSTOP until the end of the fault.
func pause(pid int) (func(context.Context) error, error) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("stop process %d: %w", pid, err)
	}
	return func(context.Context) error { return syscall.Kill(pid, syscall.SIGCONT) }, nil
}

// replace replaces all processes one after the other, as a rollout does: a replica ends after
// its requests, and the next one follows when its successor is ready.
func replace(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	for _, name := range r.store.replicas {
		if err := r.replace(ctx, name); err != nil {
			return nil, err
		}
	}
	return func(context.Context) error { return nil }, nil
}

// replace replaces a process. Because of another fault it may be killed, as it cannot end in time,
// or its successor may not be ready in time.
func (r *round) replace(ctx context.Context, name string) error {
	if err := r.store.StopService(name); err != nil {
		r.note(err)
	}
	if err := r.store.StartService(name); err != nil {
		return err
	}
	if err := r.store.WaitUntilReady(ctx, name); err != nil && ctx.Err() == nil {
		r.note(fmt.Errorf("%s was not ready after its replacement: %w", name, err))
	}
	return ctx.Err()
}

// offsets are the errors of wrong clocks.
var offsets = []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour}

// wrongClock restarts a process with a wrong clock, and again with the right one.
func wrongClock(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
	random := rand.New(rand.NewPCG(f.Seed, 2))
	restart := func(env ...string) error {
		r.store.configure(f.Target, env...)
		r.store.Kill(f.Target)
		return r.store.StartService(f.Target)
	}
	if err := restart(clockVariable + "=" + offsets[random.IntN(len(offsets))].String()); err != nil {
		return nil, err
	}
	return func(context.Context) error { return restart() }, nil
}
