package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/fill"
)

// Watch observes what becomes of sales by looking at their rows over a connection of
// the bench's own. Prefer: wait and event streams would add calls, connections and
// looks of their own to the services that are measured; a look here is one scan of the
// primary key over the newest sales, and costs only the database a little, which Busy
// tells.
//
// A decision is dated when the look that saw it ends, so it includes the commit, and
// is late by at most an interval.
type Watch struct {
	db       *sql.DB
	interval time.Duration

	mu      sync.Mutex
	pending map[int64]*Placed
	early   map[int64]seen // decided before the client heard of its id
	highest int64
	err     error

	decided  map[string]int64
	goods    int64     // of confirmed sales
	latency  []float64 // milliseconds until decided
	looking  time.Duration
	began    time.Time
	places   chan struct{}
	finished chan struct{}
	cancel   context.CancelFunc
}

// Placed is a sale that was acknowledged.
type Placed struct {
	ID   int64
	Hold bool
	// Goods is the sum of its quantities.
	Goods int64
	// Began is when the customer meant to order.
	Began time.Time
	// reserved is closed when stock has answered for a held sale.
	reserved chan struct{}
	answered bool
}

type seen struct {
	status string
	at     time.Time
}

// slack is how many of the newest sales are looked at even if none of them is
// pending: somebody may not have heard of his yet.
const slack = 256

// newWatch looks at sales after an id. At most window are pending at once, none
// bounded when it is 0.
func newWatch(ctx context.Context, db *sql.DB, after int64, interval time.Duration, window int) *Watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{db: db, interval: interval, pending: map[int64]*Placed{}, early: map[int64]seen{}, highest: after + slack,
		decided: map[string]int64{}, began: time.Now(), finished: make(chan struct{}), cancel: cancel}
	if window > 0 {
		w.places = make(chan struct{}, window)
	}
	go w.run(ctx)
	return w
}

// Enter waits until another sale may be placed.
func (w *Watch) Enter(ctx context.Context) error {
	if w.places == nil {
		return nil
	}
	select {
	case w.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Add begins to follow a sale.
func (w *Watch) Add(p *Placed) {
	p.reserved = make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending[p.ID] = p
	w.highest = max(w.highest, p.ID)
	if s, ok := w.early[p.ID]; ok {
		delete(w.early, p.ID)
		w.saw(p, s.status, s.at)
	}
}

// Reserved waits until stock has answered for a held sale.
func (w *Watch) Reserved(ctx context.Context, p *Placed) error {
	select {
	case <-p.reserved:
		return nil
	case <-w.finished:
		return errors.Join(errors.New("nobody looks at the sales any more"), w.failure())
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Watch) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Stop ends the looks.
func (w *Watch) Stop() {
	w.cancel()
	<-w.finished
}

// Busy is the share of the time that looks took.
func (w *Watch) Busy() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looking.Seconds() / time.Since(w.began).Seconds()
}

// Settle waits until every sale is decided.
func (w *Watch) Settle(ctx context.Context) error {
	for {
		w.mu.Lock()
		left, err := len(w.pending), w.err
		w.mu.Unlock()
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d sales are still pending: %w", left, ctx.Err())
		case <-time.After(w.interval):
		}
	}
}

func (w *Watch) run(ctx context.Context) {
	defer close(w.finished)
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Once in a while a look at all rows makes up for a clock or a commit that
		// was late.
		recent := 250 * time.Millisecond
		if n%20 == 0 {
			recent = time.Hour
		}
		if err := w.look(ctx, recent); err != nil && ctx.Err() == nil {
			w.mu.Lock()
			w.err = fmt.Errorf("look at the sales: %w", err)
			w.mu.Unlock()
			return
		}
	}
}

// look reads which of the newest sales have changed lately.
func (w *Watch) look(ctx context.Context, recent time.Duration) error {
	began := time.Now()
	rows, err := w.db.QueryContext(ctx, "SELECT id, status FROM "+fill.Shop.Sales+".sales WHERE id > ? AND updated_at > ? "+
		"AND (status <> 'Pending' OR reserved = 1)", w.low(), began.UTC().Add(-recent))
	if err != nil {
		return err
	}
	defer rows.Close()
	var ids []int64
	var statuses []string
	for rows.Next() {
		var id int64
		var status string
		if err := rows.Scan(&id, &status); err != nil {
			return err
		}
		ids, statuses = append(ids, id), append(statuses, status)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	at := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looking += at.Sub(began)
	for i, id := range ids {
		if p := w.pending[id]; p != nil {
			w.saw(p, statuses[i], at)
		} else if _, before := w.early[id]; !before {
			w.early[id] = seen{statuses[i], at}
		}
	}
	return nil
}

// low is the id below which everything is decided.
func (w *Watch) low() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	low := w.highest - slack
	for id := range w.pending {
		low = min(low, id-1)
	}
	for id := range w.early {
		if id <= low {
			delete(w.early, id)
		}
	}
	return low
}

// saw takes note of what a look found. The caller holds the lock.
func (w *Watch) saw(p *Placed, status string, at time.Time) {
	if !p.answered {
		p.answered = true
		w.latency = append(w.latency, float64(at.Sub(p.Began))/float64(time.Millisecond))
		close(p.reserved)
	}
	if status == "Pending" {
		return
	}
	delete(w.pending, p.ID)
	w.decided[status]++
	if status == "Confirmed" {
		w.goods += p.Goods
	}
	if w.places != nil {
		<-w.places
	}
}

// Latencies until decided, in milliseconds, sorted. A held sale counts until stock
// has reserved for it.
func (w *Watch) Latencies() []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(slices.Values(w.latency))
}
