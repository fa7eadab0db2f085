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

// SaleWatcher polls the rows of sales over a separate connection until they are decided.
// Prefer: wait and event streams would add requests and connections to the measured
// services. A poll scans the primary key over the newest sales; Busy returns its share of
// the time.
//
// The time of a decision is the end of the poll that finds it, so it includes the commit
// and is late by at most an interval.
type SaleWatcher struct {
	db       *sql.DB
	interval time.Duration

	mu             sync.Mutex
	pending        map[int64]*PlacedSale
	earlyDecisions map[int64]decision // decided before the client received the ID
	highest        int64
	err            error

	decided           map[string]int64
	confirmedQuantity int64     // sum of the quantities of confirmed sales
	latency           []float64 // milliseconds until decided
	polling           time.Duration
	began             time.Time
	slots             chan struct{}
	finished          chan struct{}
	cancel            context.CancelFunc
}

// PlacedSale is an acknowledged sale.
type PlacedSale struct {
	ID   int64
	Hold bool
	// Quantity is the sum of the quantities of its items.
	Quantity int64
	// Began is the intended start of the order.
	Began time.Time
	// reserved is closed when stock has decided about the reservation.
	reserved       chan struct{}
	hasReservation bool
}

type decision struct {
	status string
	at     time.Time
}

// overlap is the number of newest sales that are polled even if none is pending, because a
// client may not have received the ID of its sale yet.
const overlap = 256

// newSaleWatcher starts to poll sales with an ID above after. At most window sales are pending
// at the same time; 0 means no limit.
func newSaleWatcher(ctx context.Context, db *sql.DB, after int64, interval time.Duration, window int) *SaleWatcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &SaleWatcher{db: db, interval: interval, pending: map[int64]*PlacedSale{}, earlyDecisions: map[int64]decision{}, highest: after + overlap,
		decided: map[string]int64{}, began: time.Now(), finished: make(chan struct{}), cancel: cancel}
	if window > 0 {
		w.slots = make(chan struct{}, window)
	}
	go w.run(ctx)
	return w
}

// Acquire waits until another sale can be placed.
func (w *SaleWatcher) Acquire(ctx context.Context) error {
	if w.slots == nil {
		return nil
	}
	select {
	case w.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Add starts to observe a sale.
func (w *SaleWatcher) Add(p *PlacedSale) {
	p.reserved = make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending[p.ID] = p
	w.highest = max(w.highest, p.ID)
	if s, ok := w.earlyDecisions[p.ID]; ok {
		delete(w.earlyDecisions, p.ID)
		w.record(p, s.status, s.at)
	}
}

// Reserved waits until stock has decided about the reservation of a hold.
func (w *SaleWatcher) Reserved(ctx context.Context, p *PlacedSale) error {
	select {
	case <-p.reserved:
		return nil
	case <-w.finished:
		return errors.Join(errors.New("polling of sales has stopped"), w.failure())
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *SaleWatcher) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Stop stops polling.
func (w *SaleWatcher) Stop() {
	w.cancel()
	<-w.finished
}

// Busy returns the share of the time that polls took.
func (w *SaleWatcher) Busy() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.polling.Seconds() / time.Since(w.began).Seconds()
}

// Settle waits until all sales are decided.
func (w *SaleWatcher) Settle(ctx context.Context) error {
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

func (w *SaleWatcher) run(ctx context.Context) {
	defer close(w.finished)
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Every 20th poll reads all rows, because of late commits and differences
		// of clocks.
		recent := 250 * time.Millisecond
		if n%20 == 0 {
			recent = time.Hour
		}
		if err := w.poll(ctx, recent); err != nil && ctx.Err() == nil {
			w.mu.Lock()
			w.err = fmt.Errorf("poll the sales: %w", err)
			w.mu.Unlock()
			return
		}
	}
}

// poll reads the newest sales that have changed recently.
func (w *SaleWatcher) poll(ctx context.Context, recent time.Duration) error {
	began := time.Now()
	rows, err := w.db.QueryContext(ctx, "SELECT id, status FROM "+fill.Shop.Sales+".sales WHERE id > ? AND updated_at > ? "+
		"AND (status <> 'Pending' OR reserved = 1)", w.lowestPending(), began.UTC().Add(-recent))
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
	w.polling += at.Sub(began)
	for i, id := range ids {
		if p := w.pending[id]; p != nil {
			w.record(p, statuses[i], at)
		} else if _, before := w.earlyDecisions[id]; !before {
			w.earlyDecisions[id] = decision{statuses[i], at}
		}
	}
	return nil
}

// lowestPending returns the ID up to which all sales are decided.
func (w *SaleWatcher) lowestPending() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	lowestPending := w.highest - overlap
	for id := range w.pending {
		lowestPending = min(lowestPending, id-1)
	}
	for id := range w.earlyDecisions {
		if id <= lowestPending {
			delete(w.earlyDecisions, id)
		}
	}
	return lowestPending
}

// record records the status of a sale. The caller holds the lock.
func (w *SaleWatcher) record(p *PlacedSale, status string, at time.Time) {
	if !p.hasReservation {
		p.hasReservation = true
		w.latency = append(w.latency, float64(at.Sub(p.Began))/float64(time.Millisecond))
		close(p.reserved)
	}
	if status == "Pending" {
		return
	}
	delete(w.pending, p.ID)
	w.decided[status]++
	if status == "Confirmed" {
		w.confirmedQuantity += p.Quantity
	}
	if w.slots != nil {
		<-w.slots
	}
}

// Latencies returns the sorted times until sales were decided, in milliseconds. The latency of
// a hold ends when its stock is reserved.
func (w *SaleWatcher) Latencies() []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(slices.Values(w.latency))
}
