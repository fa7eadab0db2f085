package sale_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

const pollInterval = 250 * time.Millisecond

// timelines is a table in memory that counts the statements which read it.
type timelines struct {
	mu         sync.Mutex
	entries    []sale.Entry
	statements int
	longest    int // maximum number of ids in one statement
	err        error
}

func (l *timelines) add(saleID int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, sale.Entry{ID: int64(len(l.entries) + 1), SaleID: saleID})
}

func (l *timelines) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *timelines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.statements
}

func (l *timelines) read(saleIDs []int64) error {
	l.statements++
	l.longest = max(l.longest, len(saleIDs))
	return l.err
}

func (l *timelines) NewestEntries(_ context.Context, saleIDs []int64) (map[int64]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	newest := map[int64]int64{}
	for _, e := range l.entries {
		if slices.Contains(saleIDs, e.SaleID) {
			newest[e.SaleID] = e.ID
		}
	}
	return newest, l.read(saleIDs)
}

func (l *timelines) EntriesAfter(_ context.Context, saleIDs []int64, after int64) ([]sale.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []sale.Entry
	for _, e := range l.entries {
		if e.ID > after && slices.Contains(saleIDs, e.SaleID) {
			found = append(found, e)
		}
	}
	return found, l.read(saleIDs)
}

// runningWatcher is a Watcher that runs in the synctest bubble of a test.
type runningWatcher struct {
	*sale.Watcher
	*timelines
	log *bytes.Buffer
}

// runWatcher runs fn in a bubble, in which time passes only while all goroutines wait.
func runWatcher(t *testing.T, fn func(t *testing.T, w runningWatcher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := runningWatcher{sale.NewWatcher(slog.New(slog.NewTextHandler(&log, nil))), &timelines{}, &log}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Run(ctx, w.timelines)
		fn(t, w)
	})
}

func (w runningWatcher) subscribe(t *testing.T, saleID, after int64) (<-chan []sale.Entry, func()) {
	t.Helper()
	entries, stop, err := w.Subscribe(saleID, after)
	if err != nil {
		t.Fatal(err)
	}
	return entries, stop
}

// waitForPoll waits until all new entries were read.
func waitForPoll() {
	time.Sleep(pollInterval)
	synctest.Wait()
}

// ids returns the ids of the entries in a channel.
func ids(entries <-chan []sale.Entry) string {
	var got []int64
	select {
	case waiting := <-entries:
		for _, e := range waiting {
			got = append(got, e.ID)
		}
	default:
	}
	return strings.Trim(fmt.Sprint(got), "[]")
}

func TestLocalChangeIsReadAtOnce(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		one, stopOne := w.subscribe(t, 1, 0)
		defer stopOne()
		other, stopOther := w.subscribe(t, 2, 0)
		defer stopOther()
		waitForPoll()
		time.Sleep(pollInterval / 2) // So that no poll is due.
		w.add(1)
		w.Changed(1)
		w.Changed(3) // It is not watched.
		synctest.Wait()
		if got := ids(one); got != "1" {
			t.Errorf("received %q without time passing, want entry 1", got)
		}
		if got := ids(other); got != "" {
			t.Errorf("the subscriber to another sale received %s", got)
		}
	})
}

func TestChangeOfAnotherReplicaIsReadByNextPoll(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		entries, stop := w.subscribe(t, 1, 0)
		defer stop()
		waitForPoll()
		w.add(1)
		time.Sleep(pollInterval)
		synctest.Wait()
		if got := ids(entries); got != "1" {
			t.Errorf("received %q after the interval, want entry 1", got)
		}
	})
}

func TestIdleSubscriptionsShareStatements(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		for id := range int64(1000) {
			w.add(id)
			_, stop := w.subscribe(t, id, id+1)
			defer stop()
		}
		waitForPoll()
		before := w.count()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := w.count() - before; n != 40 {
			t.Errorf("1000 idle subscriptions ran %d statements in 10s, want 40, one per %s", n, pollInterval)
		}
	})
}

func TestManyWatchedSalesAreReadInChunks(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		var all []<-chan []sale.Entry
		for id := range int64(2500) {
			entries, stop := w.subscribe(t, id, 0)
			defer stop()
			all = append(all, entries)
		}
		waitForPoll()
		for id := range int64(2500) {
			w.add(id)
		}
		waitForPoll()
		for id, entries := range all {
			if got := ids(entries); got != fmt.Sprint(id+1) {
				t.Fatalf("the subscriber to sale %d received %q, want entry %d", id, got, id+1)
			}
		}
		if w.longest != 1000 {
			t.Errorf("a statement reads %d sales, want at most 1000", w.longest)
		}
	})
}

func TestChangesCommittedTogetherAreReadTogether(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		for id := range int64(100) {
			_, stop := w.subscribe(t, id, 0)
			defer stop()
		}
		waitForPoll()
		before := w.count()
		for id := range int64(100) {
			w.add(id)
			w.Changed(id)
			time.Sleep(time.Millisecond)
		}
		waitForPoll()
		// 5 reads, 20 ms apart, one more for the last changes, and up to 2 polls.
		if n := w.count() - before; n > 8 {
			t.Errorf("100 changes within 100ms ran %d statements, want at most 8", n)
		}
	})
}

func TestWithoutSubscribersNothingIsRead(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		_, stop := w.subscribe(t, 1, 0)
		waitForPoll()
		stop()
		stop() // A second call does nothing.
		before := w.count()
		w.Changed(1)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := w.count() - before; n != 0 {
			t.Errorf("%d statements ran, want none", n)
		}
	})
}

func TestSubscriberReceivesEntriesAfterItsPosition(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		for range 3 {
			w.add(1)
		}
		all, stopAll := w.subscribe(t, 1, 0)
		defer stopAll()
		last, stopLast := w.subscribe(t, 1, 2)
		defer stopLast()
		none, stopNone := w.subscribe(t, 1, 3)
		defer stopNone()
		synctest.Wait()
		if a, l, n := ids(all), ids(last), ids(none); a != "1 2 3" || l != "3" || n != "" {
			t.Errorf("received %q after 0, %q after 2 and %q after 3; want 1 2 3, 3 and nothing", a, l, n)
		}
	})
}

func TestSlowSubscriberDoesNotBlockOthers(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		slow, stopSlow := w.subscribe(t, 1, 0)
		defer stopSlow()
		fast, stopFast := w.subscribe(t, 1, 0)
		defer stopFast()
		for n := range 5 {
			w.add(1)
			waitForPoll()
			if got := ids(fast); got != fmt.Sprint(n+1) {
				t.Errorf("the other subscriber received %q, want entry %d", got, n+1)
			}
		}
		if got := ids(slow); got != "1 2 3 4 5" {
			t.Errorf("received %q in the end, want all five in their order", got)
		}
	})
}

func TestSubscriptionsAreLimited(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		var stops []func()
		for id := range int64(10_000) {
			_, stop := w.subscribe(t, id%10, 0)
			stops = append(stops, stop)
		}
		if _, _, err := w.Subscribe(1, 0); failure.KindOf(err) != failure.KindUnavailable {
			t.Errorf("one more: %v, want it unavailable", err)
		}
		for _, stop := range stops {
			stop()
		}
		for id := range int64(10_000) {
			_, stop := w.subscribe(t, id, 0)
			defer stop()
		}
	})
}

func TestConsecutiveFailuresAreLoggedOnce(t *testing.T) {
	t.Parallel()
	runWatcher(t, func(t *testing.T, w runningWatcher) {
		entries, stop := w.subscribe(t, 1, 0)
		defer stop()
		waitForPoll()
		for failures := 1; failures <= 2; failures++ {
			w.fail(errors.New("connection refused"))
			w.add(1)
			w.Changed(1)
			time.Sleep(10 * pollInterval)
			synctest.Wait()
			if got := strings.Count(w.log.String(), "connection refused"); got != failures {
				t.Errorf("failure %d: logged %d times\n%s", failures, got, w.log)
			}
			if got := ids(entries); got != "" {
				t.Errorf("received %s while the database failed", got)
			}
			w.fail(nil)
			waitForPoll()
			if got := ids(entries); got != fmt.Sprint(failures) {
				t.Errorf("after failure %d: received %q, want entry %d", failures, got, failures)
			}
		}
	})
}
