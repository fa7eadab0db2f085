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
	// pollInterval is the time between two reads of all watched sales, which find the changes
	// that other replicas committed.
	pollInterval = 250 * time.Millisecond
	// changeInterval is the minimum time between two reads of changes that this process
	// committed. Changes that are committed meanwhile are read together.
	changeInterval = 20 * time.Millisecond
	// watchedChunk is the maximum number of sales that one statement reads.
	watchedChunk = 1000
	// readTimeout is the timeout of the statements of one poll.
	readTimeout = 5 * time.Second
	// maxSubscriptions is the maximum number of subscriptions of a replica.
	maxSubscriptions = 10_000
	// subscribeRetryAfter is the Retry-After for a subscription that exceeds the maximum.
	subscribeRetryAfter = 5 * time.Second
)

// Timelines reads the timelines of many sales with one statement. The methods return a
// *failure.Error of kind KindUnavailable while the database is unavailable.
type Timelines interface {
	// NewestEntries returns the id of the newest entry of each sale.
	NewestEntries(ctx context.Context, saleIDs []int64) (map[int64]int64, error)
	// EntriesAfter returns the entries of sales with ids above after, those of one sale in
	// their order.
	EntriesAfter(ctx context.Context, saleIDs []int64, after int64) ([]Entry, error)
}

// Watcher reads the timelines of all sales that are watched at this replica, and passes new
// entries to their subscribers, so that the number of statements does not depend on the
// number of subscribers.
//
// A change that this process committed is read at once. Because other replicas commit
// changes, too, all watched sales are also read at an interval, with one statement for 1,000
// sales. The entries of one sale are written under the lock of its row: their ids grow in
// the order of their commits, and a new entry has a higher id than those before.
type Watcher struct {
	log     *slog.Logger
	wake    chan struct{}
	failing bool // used only by Run

	mu          sync.Mutex
	subscribers map[int64]map[*subscription]bool // by the id of their sale
	count       int
	changed     map[int64]bool // watched sales with changes to read
}

// subscription receives the new entries of one sale.
type subscription struct {
	// entries holds at most one slice, with all entries that were not received yet. The
	// timeline of a sale has few entries.
	entries chan []Entry
	// position is the id of the last entry that was sent.
	position int64
}

// NewWatcher returns a Watcher. It reads timelines while Run is running.
func NewWatcher(log *slog.Logger) *Watcher {
	return &Watcher{log: log, wake: make(chan struct{}, 1),
		subscribers: map[int64]map[*subscription]bool{}, changed: map[int64]bool{}}
}

// Subscribe returns a channel that receives the entries of a sale with ids above after.
// The caller must check whether the sale may be read, and must call stop at the end.
// Subscribe returns a *failure.Error of kind KindUnavailable when there are 10,000
// subscriptions.
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
	w.scheduleRead(saleID)
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

// Changed schedules a read of the new entries of a sale if it is watched. It does not block.
func (w *Watcher) Changed(saleID int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subscribers[saleID] != nil {
		w.scheduleRead(saleID)
	}
}

// scheduleRead must be called with mu locked.
func (w *Watcher) scheduleRead(saleID int64) {
	w.changed[saleID] = true
	select {
	case w.wake <- struct{}{}:
	default: // Run is about to read.
	}
}

// Run reads and delivers new entries until ctx is done. Entries that are not read while the
// database fails are read by a later poll.
func (w *Watcher) Run(ctx context.Context, t Timelines) {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			w.logFailure(ctx, w.Poll(ctx, t))
		case <-w.wake:
			w.logFailure(ctx, w.read(ctx, t, w.takeChanged()))
			select {
			case <-ctx.Done():
				return
			case <-time.After(changeInterval):
			}
		}
	}
}

// logFailure logs the first of consecutive failures.
func (w *Watcher) logFailure(ctx context.Context, err error) {
	if err != nil && !w.failing && ctx.Err() == nil {
		w.log.WarnContext(ctx, "reading the timelines of watched sales failed, retrying", "error", err)
	}
	w.failing = err != nil
}

// Poll reads and delivers the new entries of all watched sales once.
func (w *Watcher) Poll(ctx context.Context, t Timelines) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for ids := range slices.Chunk(w.watched(), watchedChunk) {
		newest, err := t.NewestEntries(ctx, ids)
		if err != nil {
			return err
		}
		if err := w.read(ctx, t, w.outdated(newest)); err != nil {
			return err
		}
	}
	return nil
}

// read reads and delivers the new entries of sales.
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

// outdated returns the ids of the sales whose newest entry a subscriber has not received.
func (w *Watcher) outdated(newest map[int64]int64) []int64 {
	var ids []int64
	for id, entry := range newest {
		if w.position(id) < entry {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// position returns the lowest position of the subscribers to some sales, or math.MaxInt64
// when there are none.
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

// deliver sends entries to the subscribers to their sales. It does not block: entries that a
// subscriber has not received yet are replaced by the same entries followed by the new one.
func (w *Watcher) deliver(entries []Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		for s := range w.subscribers[e.SaleID] {
			s.add(e)
		}
	}
}

// add must be called with Watcher.mu locked, so that nothing else sends.
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
