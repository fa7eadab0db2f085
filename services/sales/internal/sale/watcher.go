package sale

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"ecommerce-stack.dev/services/internal/failure"
)

const (
	// sweepInterval is how often all watched sales are read, for changes that another
	// replica committed.
	sweepInterval = 250 * time.Millisecond
	// changeInterval is the shortest time between two reads of changes that this process
	// committed. Those that are committed meanwhile are read together.
	changeInterval = 20 * time.Millisecond
	// watchedChunk bounds the sales that one statement reads.
	watchedChunk = 1000
	// readTimeout bounds the statements of one sweep.
	readTimeout = 5 * time.Second
	// maxSubscriptions at one replica.
	maxSubscriptions = 10_000
	// subscribeRetryAfter is when a refused subscriber may try again.
	subscribeRetryAfter = 5 * time.Second
)

// Timelines reads the timelines of many sales with one statement.
type Timelines interface {
	// NewestEntries returns the id of the newest entry of each sale.
	NewestEntries(ctx context.Context, saleIDs []int64) (map[int64]int64, error)
	// EntriesAfter returns the entries of sales with ids above after. Those of one sale
	// are in their order.
	EntriesAfter(ctx context.Context, saleIDs []int64, after int64) ([]Entry, error)
}

// Watcher reads the timelines of all sales that are watched at this replica, and hands new
// entries to their subscribers, so that a subscriber costs no statement of its own.
//
// A change that this process committed is read at once. Other replicas commit changes, too,
// so all watched sales are also read at an interval, with one statement for 1,000 sales.
// The entries of one sale are written under the lock of its row: their ids grow in the
// order of their commits, and an entry that is new has a higher id than those before.
type Watcher struct {
	log     *slog.Logger
	wake    chan struct{}
	failing bool // used by Run alone

	mu          sync.Mutex
	subscribers map[int64]map[*subscription]bool // by the id of their sale
	count       int
	changed     map[int64]bool // watched sales with changes that were not read yet
}

// subscription receives the new entries of one sale.
type subscription struct {
	// entries holds at most one slice, with all that was not received yet; the timeline of
	// a sale has few entries.
	entries chan []Entry
	// position is the id of the last entry that was handed over.
	position int64
}

// NewWatcher returns a Watcher, which works while Run does.
func NewWatcher(log *slog.Logger) *Watcher {
	return &Watcher{log: log, wake: make(chan struct{}, 1),
		subscribers: map[int64]map[*subscription]bool{}, changed: map[int64]bool{}}
}

// Subscribe returns a channel that receives the entries of a sale with ids above after.
// The caller has to check who may see the sale, and must call stop in the end. With
// 10,000 subscriptions another one is refused as unavailable.
func (w *Watcher) Subscribe(saleID, after int64) (entries <-chan []Entry, stop func(), err error) {
	s := &subscription{entries: make(chan []Entry, 1), position: after}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= maxSubscriptions {
		return nil, nil, failure.Unavailable(subscribeRetryAfter, errors.New("too many sales are watched at this replica"))
	}
	w.count++
	if w.subscribers[saleID] == nil {
		w.subscribers[saleID] = map[*subscription]bool{}
	}
	w.subscribers[saleID][s] = true
	// An entry may have been committed after the caller read the timeline.
	w.readSoon(saleID)
	return s.entries, sync.OnceFunc(func() { w.unsubscribe(saleID, s) }), nil
}

func (w *Watcher) unsubscribe(saleID int64, s *subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count--
	delete(w.subscribers[saleID], s)
	if len(w.subscribers[saleID]) == 0 {
		delete(w.subscribers, saleID)
		delete(w.changed, saleID)
	}
}

// Changed has the new entries of a sale read if somebody watches it. It does not block.
func (w *Watcher) Changed(saleID int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subscribers[saleID] != nil {
		w.readSoon(saleID)
	}
}

// readSoon is called with mu held.
func (w *Watcher) readSoon(saleID int64) {
	w.changed[saleID] = true
	select {
	case w.wake <- struct{}{}:
	default: // Run is about to read.
	}
}

// Run reads and hands over new entries until ctx ends. While the database fails, what was
// not read is read with the next sweep.
func (w *Watcher) Run(ctx context.Context, t Timelines) {
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			w.report(ctx, w.Sweep(ctx, t))
		case <-w.wake:
			w.report(ctx, w.read(ctx, t, w.takeChanged()))
			select {
			case <-ctx.Done():
				return
			case <-time.After(changeInterval):
			}
		}
	}
}

// report logs the first of several failures in a row.
func (w *Watcher) report(ctx context.Context, err error) {
	if err != nil && !w.failing && ctx.Err() == nil {
		w.log.WarnContext(ctx, "reading the timelines of watched sales failed, trying again", "error", err)
	}
	w.failing = err != nil
}

// Sweep reads and hands over once what is new of all watched sales.
func (w *Watcher) Sweep(ctx context.Context, t Timelines) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for ids := range slices.Chunk(w.watched(), watchedChunk) {
		newest, err := t.NewestEntries(ctx, ids)
		if err != nil {
			return err
		}
		if err := w.read(ctx, t, w.behind(newest)); err != nil {
			return err
		}
	}
	return nil
}

// read reads and hands over the new entries of sales.
func (w *Watcher) read(ctx context.Context, t Timelines, saleIDs []int64) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for ids := range slices.Chunk(saleIDs, watchedChunk) {
		entries, err := t.EntriesAfter(ctx, ids, w.position(ids...))
		if err != nil {
			return err
		}
		w.deliver(entries)
	}
	return nil
}

// watched returns the ids of the watched sales.
func (w *Watcher) watched() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.subscribers))
}

// takeChanged returns the ids of the watched sales that changed since the last call.
func (w *Watcher) takeChanged() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := slices.Sorted(maps.Keys(w.changed))
	clear(w.changed)
	return ids
}

// behind returns the ids of the sales of which a subscriber lacks the newest entry.
func (w *Watcher) behind(newest map[int64]int64) []int64 {
	var ids []int64
	for id, entry := range newest {
		if w.position(id) < entry {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// position returns the lowest position of all subscribers to some sales. It is the highest
// there is when nobody is subscribed any more.
func (w *Watcher) position(saleIDs ...int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	lowest := int64(math.MaxInt64)
	for _, id := range saleIDs {
		for s := range w.subscribers[id] {
			lowest = min(lowest, s.position)
		}
	}
	return lowest
}

// deliver hands entries to the subscribers to their sales. It does not block: what a
// subscriber has not received yet is replaced by the same with the new entries.
func (w *Watcher) deliver(entries []Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		for s := range w.subscribers[e.SaleID] {
			s.add(e)
		}
	}
}

// add is called with Watcher.mu held: nothing else sends.
func (s *subscription) add(e Entry) {
	if e.ID <= s.position {
		return
	}
	var waiting []Entry
	select {
	case waiting = <-s.entries:
	default:
	}
	s.entries <- append(waiting, e)
	s.position = e.ID
}
