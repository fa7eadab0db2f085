package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// round is one run of load and faults, after which everything is checked.
type round struct {
	store  *store
	db     *sql.DB // as the administrator
	seed   uint64
	load   *load
	faults faults
	hits   atomic.Int64 // failpoints that have killed a process
	scale  int          // of the load; 0 is 1
	// quiet is the time beyond the length of the load in which everything must be decided.
	quiet time.Duration
	// unrepaired reports whether commands are not repeated.
	unrepaired bool

	mu       sync.Mutex
	recorded []amqp.Delivery
	found    []violation // by scenarios
	notes    []string
}

// result is the result of a round.
type result struct {
	Seed                 uint64
	Orders, Acknowledged int
	Hits                 int64 // failpoints that have killed a process
	Sales, Moves         int   // checked
	ByStatus             map[string]int
	Statuses             map[int]int
	Faults               []window
	Recovery             map[string][]time.Duration // by the group of the fault
	Quiet                time.Duration              // from the end of the last fault
	Violations           []violation
	Account              string // of the first violation
	Notes                []string
}

// note records an observation that is no violation.
func (r *round) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, _, _ := strings.Cut(err.Error(), "\n")
	r.notes = append(r.notes, text)
}

// poisoned records a message that must become a dead letter, or only may because the broker has
// not confirmed it.
func (r *round) poisoned(id string, required bool) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.poison[id] = required
}

// loseMessages records that messages of the queues are lost.
func (r *round) loseMessages() {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	for id := range r.store.poison {
		r.store.poison[id] = false
	}
}

// Limits of a round.
const (
	// quietExtra is round.quiet by default. A command is repeated at intervals that grow with the
	// age of its sale.
	quietExtra = time.Minute
	// acceptWithin is the time after the last fault in which every endpoint accepts orders.
	acceptWithin = 30 * time.Second
	pollInterval = 200 * time.Millisecond
)

// run runs the load with the faults of a plan, ends the faults, waits until the store is quiet,
// and checks it. detail gets a line about the progress now and then.
func (r *round) run(ctx context.Context, length time.Duration, kinds []kind, plan []fault, detail func(string)) (*result, error) {
	var err error
	if r.load, err = newLoad(ctx, r.store, r.seed, max(1, r.scale)); err != nil {
		return nil, fmt.Errorf("prepare the load: %w", err)
	}
	stop := r.show(detail)
	defer stop()
	loading, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { r.load.run(loading, r.seed) })
	r.faults.run(ctx, loading, r, kinds, plan)
	running.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(r.faults.failed) > 0 {
		return nil, fmt.Errorf("inject the faults of seed %d: %w", r.seed, r.faults.failed[0])
	}
	found := slices.Concat(r.found, r.checkProcesses(ctx))
	if _, err := r.restartStrandedBroker(ctx); err != nil {
		return nil, fmt.Errorf("list the queues: %w", err)
	}
	if err := r.publishLate(ctx); err != nil {
		return nil, fmt.Errorf("publish recorded events again: %w", err)
	}
	found = append(found, r.placeOrders(ctx)...)
	if err := r.poison(ctx, r.seed); err != nil {
		return nil, fmt.Errorf("publish poison messages: %w", err)
	}
	began := time.Now()
	unsettled, err := r.waitUntilQuiet(ctx, length+cmp.Or(r.quiet, quietExtra))
	if err != nil {
		return nil, err
	}
	res := &result{Seed: r.seed, Quiet: time.Since(began), Violations: append(found, unsettled...)}
	differences, err := r.compareNodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("compare the nodes of the database: %w", err)
	}
	res.Violations = append(res.Violations, differences...)
	if err := r.readStocks(ctx); err != nil {
		return nil, err
	}
	if err := r.check(ctx, res); err != nil {
		return nil, err
	}
	return res, nil
}

// show updates the progress until stop is called.
func (r *round) show(detail func(string)) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			placed, acknowledged := r.load.progress()
			text := fmt.Sprintf("%d orders, %d acknowledged", placed, acknowledged)
			if active := r.faults.active(); len(active) > 0 {
				text += " · " + strings.Join(active, ", ")
			}
			if checked := r.store.checked.Load(); checked > 0 {
				text += fmt.Sprintf(" · %d sales checked", checked)
			}
			detail(text)
			select {
			case <-done:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	return func() { close(done); running.Wait() }
}

// checkProcesses waits until all processes are ready, and returns those that have ended without
// a fault.
func (r *round) checkProcesses(ctx context.Context) []violation {
	var found []violation
	for _, name := range r.store.replicas {
		if !r.store.IsRunning(name) {
			found = append(found, violation{Text: name + " ended without a fault that ends it"})
			if err := r.store.StartService(name); err != nil {
				found = append(found, violation{Text: err.Error()})
				continue
			}
		}
		if err := r.store.WaitUntilReady(ctx, name); err != nil {
			text, _, _ := strings.Cut(err.Error(), "\n")
			found = append(found, violation{Text: name + " is not ready within a minute after the last fault: " + text})
		}
	}
	return found
}

// publishLate publishes recorded events again, the last ones first.
func (r *round) publishLate(ctx context.Context) error {
	if len(r.recorded) == 0 {
		return nil
	}
	return r.onChannel(ctx, func(ch *amqp.Channel) error {
		for _, d := range slices.Backward(r.recorded) {
			if err := republish(ctx, ch, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// placeOrders places an order at each endpoint, and returns those that do not accept it.
func (r *round) placeOrders(ctx context.Context) []violation {
	var found []violation
	for i, endpoint := range r.load.endpoints.sales {
		single := *r.load
		single.endpoints.sales = single.endpoints.sales[i : i+1]
		waiting, cancel := context.WithTimeout(ctx, acceptWithin)
		single.stop = waiting
		w := &worker{load: &single, random: rand.New(rand.NewPCG(r.seed, uint64(2000+i))), customer: r.load.customers[0], name: fmt.Sprintf("%d-last-%d", r.seed, i)}
		for waiting.Err() == nil && len(w.orders) == 0 {
			w.order(false)
		}
		cancel()
		if len(w.orders) == 0 {
			found = append(found, violation{Invariant: 3, Text: fmt.Sprintf("%s does not accept orders within %s after the last fault", endpoint.URL, acceptWithin)})
		}
	}
	return found
}
