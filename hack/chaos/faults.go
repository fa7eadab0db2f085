package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// kind is a kind of fault.
type kind struct {
	name     string
	targets  []string
	min, max time.Duration
	// inject starts the fault. end ends it, and also repairs what it has broken.
	inject func(ctx context.Context, r *round, f fault) (end func(context.Context) error, err error)
}

// kinds returns the kinds of faults of a store with these processes and edges.
func kinds(processes, edges []string) []kind {
	return slices.Concat(processKinds(processes), failpointKinds(processes), databaseKinds(), brokerKinds(), networkKinds(edges), messageKinds(), scenarioKinds())
}

// kindsOf returns the kinds of faults of a store with a database of --database.
func kindsOf(database string, processes, edges []string) []kind {
	if clusters[database] == nil {
		return kinds(processes, edges)
	}
	all := slices.Concat(processKinds(processes), failpointKinds(processes), clusterKinds(), brokerKinds(), networkKinds(edges), messageKinds())
	if database != "galera-all" {
		// With several nodes the transactions of the others end the one that holds the locks.
		all = append(all, scenarioKinds()...)
	}
	return all
}

// window is the time in which a fault was active.
type window struct {
	fault
	Began, Ended time.Duration // since the start of the history; Ended is 0 before the end
}

// faults injects the faults of a round. It is safe for concurrent use.
type faults struct {
	busy map[string]*sync.Mutex // by resource

	mu      sync.Mutex
	windows []*window
	failed  []error
}

// run injects the faults of a plan at their times, and returns when all have ended. None begins
// after the end of loading. Every fault that has begun is ended, also if ctx ends before.
func (a *faults) run(ctx, loading context.Context, r *round, kinds []kind, plan []fault) {
	a.busy = map[string]*sync.Mutex{}
	for _, f := range plan {
		for _, name := range f.resources() {
			a.busy[name] = new(sync.Mutex)
		}
	}
	var running sync.WaitGroup
	for _, f := range plan {
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == f.Kind && slices.Contains(k.targets, f.Target) })
		if i < 0 {
			a.fail(fmt.Errorf("unknown kind of fault %q", f.Kind))
			continue
		}
		running.Go(func() { a.inject(ctx, loading, r, kinds[i], f) })
	}
	running.Wait()
}

func (a *faults) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = append(a.failed, err)
}

// maxRepair limits the time of a repair, such as the start of a broker.
const maxRepair = 3 * time.Minute

// inject injects one fault.
func (a *faults) inject(ctx, loading context.Context, r *round, k kind, f fault) {
	if !sleep(ctx, f.At-r.load.now()) {
		return
	}
	// The end of an earlier fault may take longer than planned.
	for _, name := range slices.Sorted(slices.Values(f.resources())) {
		a.busy[name].Lock()
		defer a.busy[name].Unlock()
	}
	if loading.Err() != nil {
		return
	}
	w := &window{fault: f, Began: r.load.now()}
	a.mu.Lock()
	a.windows = append(a.windows, w)
	a.mu.Unlock()
	end, err := k.inject(ctx, r, f)
	if err == nil {
		sleep(ctx, f.For)
		repair, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxRepair)
		err = end(repair)
		cancel()
	}
	a.mu.Lock()
	w.Ended = r.load.now()
	a.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		a.fail(fmt.Errorf("%s: %w", f, err))
	}
}

// sleep waits, and reports false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(max(0, d)):
		return true
	}
}

// active returns the names of the faults that are active.
func (a *faults) active() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, w := range a.windows {
		if w.Ended == 0 {
			names = append(names, w.String())
		}
	}
	return names
}

// between returns the faults that were active in a part of the history.
func (a *faults) between(from, to time.Duration) []window {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []window
	for _, w := range a.windows {
		if w.Began <= to && (w.Ended == 0 || w.Ended >= from) {
			found = append(found, *w)
		}
	}
	return found
}

// repeatedly calls do at random intervals up to interval, until the returned function is called.
// Errors of do are expected, because other faults are active.
func repeatedly(ctx context.Context, f fault, interval time.Duration, do func(ctx context.Context, random *rand.Rand)) (end func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		random := rand.New(rand.NewPCG(f.Seed, 1))
		for ctx.Err() == nil {
			do(ctx, random)
			sleep(ctx, between(random, 0, interval))
		}
	})
	return func(context.Context) error { cancel(); running.Wait(); return nil }
}

// prefixed returns the names with one of the prefixes.
func prefixed(names []string, prefixes ...string) []string {
	var found []string
	for _, name := range names {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			found = append(found, name)
		}
	}
	return found
}
