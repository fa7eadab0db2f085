package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"ecommerce-stack.dev/hack/bench/internal/fill"
)

// watcher polls the rows of sales over a separate connection until they are decided.
// Prefer: wait and event streams would add requests and connections to the measured
// services. A poll scans the primary key over the newest sales; busy returns its share of
// the time.
//
// The time of a decision is the end of the poll that finds it, so it includes the commit
// and is late by at most an interval.
type watcher struct {
	db       *sql.DB
	interval time.Duration
	// slots limits the sales that are not decided. A decision releases a slot.
	slots *semaphore.Weighted

	mu                sync.Mutex
	sales             map[int64]*sale
	pending           int64 // placed sales that are not decided
	highest           int64
	decided           map[string]int64 // placed sales by status
	confirmedQuantity int64            // sum of the quantities of confirmed sales
	latency           []float64        // milliseconds until the reservation was decided
	err               error

	began   time.Time
	polling time.Duration
	ended   chan struct{}
	cancel  context.CancelFunc
}

// sale is a sale that a client has placed, or that a poll has found before the client
// received its ID.
type sale struct {
	isPlaced bool
	quantity int64
	began    time.Time
	// reservedAt is the time when stock has decided about the reservation. reserved is
	// closed when it is known of a placed sale.
	reservedAt time.Time
	reserved   chan struct{}
	status     string // "" until the sale is decided
	isCounted  bool
}

// overlap is the number of newest sales that are polled even if none is pending, because a
// client may not have received the ID of its sale yet.
const overlap = 256

// newWatcher returns a watcher of sales with an ID above after, which does not poll. At most
// window sales are pending at the same time; 0 means no limit.
func newWatcher(db *sql.DB, after int64, interval time.Duration, window int64) *watcher {
	if window == 0 {
		window = math.MaxInt64
	}
	return &watcher{db: db, interval: interval, slots: semaphore.NewWeighted(window), sales: map[int64]*sale{}, highest: after + overlap,
		decided: map[string]int64{}, began: time.Now(), ended: make(chan struct{})}
}

// start polls until stop is called.
func (w *watcher) start(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	go func() {
		defer close(w.ended)
		tick := time.NewTicker(w.interval)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
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
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
}

func (w *watcher) stop() {
	w.cancel()
	<-w.ended
}

// busy returns the share of the time that polls took.
func (w *watcher) busy() float64 { return w.polling.Seconds() / time.Since(w.began).Seconds() }

// sale returns a sale, which it adds if it is new. The caller holds the lock.
func (w *watcher) sale(id int64) *sale {
	if w.sales[id] == nil {
		w.sales[id] = &sale{reserved: make(chan struct{})}
	}
	return w.sales[id]
}

// add starts to watch a sale that was placed.
func (w *watcher) add(id, quantity int64, began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sale(id)
	s.isPlaced, s.quantity, s.began = true, quantity, began
	w.highest = max(w.highest, id)
	w.pending++
	w.count(s)
}

// found records a status that a poll has found.
func (w *watcher) found(id int64, status string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sale(id)
	if s.reservedAt.IsZero() {
		s.reservedAt = at
	}
	if status != "Pending" {
		s.status = status
	}
	w.count(s)
}

// count counts the reservation and the decision of a placed sale once. The latency of a hold
// ends when its stock is reserved.
func (w *watcher) count(s *sale) {
	if !s.isPlaced || s.reservedAt.IsZero() || s.isCounted {
		return
	}
	select {
	case <-s.reserved:
	default:
		close(s.reserved)
		w.latency = append(w.latency, milliseconds(s.reservedAt.Sub(s.began)))
	}
	if s.status == "" {
		return
	}
	s.isCounted = true
	w.pending--
	w.decided[s.status]++
	if s.status == "Confirmed" {
		w.confirmedQuantity += s.quantity
	}
	w.slots.Release(1)
}

// reserved waits until stock has decided about the reservation of a placed sale.
func (w *watcher) reserved(ctx context.Context, id int64) error {
	w.mu.Lock()
	reserved := w.sale(id).reserved
	w.mu.Unlock()
	select {
	case <-reserved:
		return nil
	case <-w.ended:
		return errors.New("polling of sales has stopped")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle waits until all sales are decided.
func (w *watcher) settle(ctx context.Context) error {
	for {
		w.mu.Lock()
		pending, err := w.pending, w.err
		w.mu.Unlock()
		if err != nil || pending == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d sales are still pending: %w", pending, ctx.Err())
		case <-time.After(w.interval):
		}
	}
}

// poll reads the newest sales that have changed recently.
func (w *watcher) poll(ctx context.Context, recent time.Duration) error {
	began := time.Now()
	rows, err := w.db.QueryContext(ctx, "SELECT id, status FROM "+fill.Shop.Sales+".sales WHERE id > ? AND updated_at > ? "+
		"AND (status <> 'Pending' OR reserved = 1)", w.lowestPending(), began.UTC().Add(-recent))
	if err != nil {
		return err
	}
	defer rows.Close()
	statuses := map[int64]string{}
	for rows.Next() {
		var id int64
		var status string
		if err := rows.Scan(&id, &status); err != nil {
			return err
		}
		statuses[id] = status
	}
	at := time.Now()
	for id, status := range statuses {
		w.found(id, status, at)
	}
	w.polling += at.Sub(began)
	return rows.Err()
}

// lowestPending returns the ID up to which all sales are decided, and forgets these.
func (w *watcher) lowestPending() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	lowest := w.highest - overlap
	for id, s := range w.sales {
		if s.isPlaced && !s.isCounted {
			lowest = min(lowest, id-1)
		}
	}
	for id := range w.sales {
		if id <= lowest {
			delete(w.sales, id)
		}
	}
	return lowest
}
