package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

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
		{"set the clock of", stateful, time.Second, 5 * time.Second, setClock},
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

// clockFile returns the file with the error of the clock of a process; see overlay/clock.go.txt.
func (s *store) clockFile(name string) string { return filepath.Join(s.Dir, name+".clock") }

// setClock sets the clock of a running process to a wrong time, and again to the right one.
func setClock(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
	random := rand.New(rand.NewPCG(f.Seed, 2))
	file := r.store.clockFile(f.Target)
	if err := os.WriteFile(file, []byte(offsets[random.IntN(len(offsets))].String()), 0o600); err != nil {
		return nil, err
	}
	return func(context.Context) error { return os.Remove(file) }, nil
}

// wrongClock restarts a process with a wrong clock, and again with the right one.
func wrongClock(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
	restart := func() error {
		r.store.Kill(f.Target)
		return r.store.StartService(f.Target)
	}
	correct, err := setClock(ctx, r, f)
	if err != nil {
		return nil, err
	}
	if err := restart(); err != nil {
		return nil, errors.Join(err, correct(ctx))
	}
	return func(ctx context.Context) error { return errors.Join(correct(ctx), restart()) }, nil
}
