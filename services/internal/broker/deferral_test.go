package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
)

var errConflict = errors.New("a row is locked")

// lockedRows is a Handler that conflicts for some subjects while they are locked. It waits a
// second for the lock.
type lockedRows struct {
	subjects []string
	unlocked atomic.Bool
	calls    atomic.Int32
	waits    atomic.Int32

	mu      sync.Mutex
	handled map[string]int
}

func (l *lockedRows) Handle(_ context.Context, batch []event.Envelope) error {
	l.calls.Add(1)
	conflicts := func(e event.Envelope) bool { return slices.Contains(l.subjects, e.Subject) }
	if !l.unlocked.Load() && slices.ContainsFunc(batch, conflicts) {
		l.waits.Add(1)
		<-time.After(time.Second)
		return errConflict
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range batch {
		l.handled[e.Subject]++
	}
	return nil
}

func (l *lockedRows) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.handled)
}

// locked is for Settings.
func (l *lockedRows) locked(_ context.Context, batch []event.Envelope, _ bool) ([]bool, error) {
	found := make([]bool, len(batch))
	for i, e := range batch {
		found[i] = !l.unlocked.Load() && slices.Contains(l.subjects, e.Subject)
	}
	return found, nil
}

// consumeLocked runs a consumer of StockQueue until stop is called or the test ends.
func consumeLocked(t *testing.T, url string, l *lockedRows, locked func(context.Context, []event.Envelope, bool) ([]bool, error)) (stop func()) {
	t.Helper()
	c := broker.NewConsumer(broker.Settings{URL: url, Name: "test", Queue: event.StockQueue, MaxAttempts: 2,
		IsConflict: func(err error) bool { return errors.Is(err, errConflict) },
		Locked:     locked,
	}, l, quiet, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// TestConflictingMessagesDelayNoOther publishes messages of which two conflict, then further ones, and
// checks which are acknowledged while the rows are locked and after that.
func TestConflictingMessagesDelayNoOther(t *testing.T) {
	t.Parallel()
	url := topology(t)
	p := publisher(t, url)
	l := &lockedRows{subjects: []string{"13", "14"}, handled: map[string]int{}}
	if _, err := p.Publish(t.Context(), messages(t, canceled(40)...)); err != nil {
		t.Fatal(err)
	}
	stop := consumeLocked(t, url, l, l.locked)
	testenv.Eventually(t, "the other messages are handled", func() bool { return l.count() == 38 })
	l.subjects = append(l.subjects, "41") // no event is being handled but those that conflict
	if _, err := p.Publish(t.Context(), messages(t, canceled(60)[40:]...)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the other later messages are handled", func() bool { return l.count() == 57 })
	if n := l.waits.Load(); n != 1 {
		t.Errorf("waited for locks %d times, want once, in the first batch", n)
	}
	stop()
	if n := depth(t, url, event.StockQueue); n != 3 {
		t.Errorf("%d messages are not acknowledged, want the 3 that conflict", n)
	}
	consumeAgain := consumeLocked(t, url, l, l.locked)
	l.unlocked.Store(true)
	testenv.Eventually(t, "all messages are handled", func() bool { return l.count() == 60 })
	consumeAgain()
	if n, dead := depth(t, url, event.StockQueue), depth(t, url, event.StockQueue+event.DeadLetterSuffix); n != 0 || dead != 0 {
		t.Errorf("%d messages in the queue and %d dead letters, want none", n, dead)
	}
	for subject, n := range l.handled {
		if n != 1 {
			t.Errorf("message %s was handled %d times", subject, n)
		}
	}
}

// TestDeferredMessageIsHandledByItsConsumer unlocks the rows while the consumer runs.
func TestDeferredMessageIsHandledByItsConsumer(t *testing.T) {
	t.Parallel()
	url := topology(t)
	l := &lockedRows{subjects: []string{"1"}, handled: map[string]int{}}
	if _, err := publisher(t, url).Publish(t.Context(), messages(t, canceled(2)...)); err != nil {
		t.Fatal(err)
	}
	stop := consumeLocked(t, url, l, l.locked)
	testenv.Eventually(t, "the other message is handled", func() bool { return l.count() == 1 })
	l.unlocked.Store(true)
	testenv.Eventually(t, "the message is handled", func() bool { return l.count() == 2 })
	stop()
	if n := depth(t, url, event.StockQueue); n != 0 {
		t.Errorf("%d messages are not acknowledged", n)
	}
}

// TestDeferredMessageOfBusyRowsIsHandled has rows that are locked whenever the consumer looks, and free for those who wait
// for their turn.
func TestDeferredMessageOfBusyRowsIsHandled(t *testing.T) {
	t.Parallel()
	url := topology(t)
	l := &lockedRows{subjects: []string{"1"}, handled: map[string]int{}}
	if _, err := publisher(t, url).Publish(t.Context(), messages(t, canceled(2)...)); err != nil {
		t.Fatal(err)
	}
	consumeLocked(t, url, l, func(ctx context.Context, batch []event.Envelope, wait bool) ([]bool, error) {
		found, _ := l.locked(ctx, batch, wait)
		if wait {
			l.unlocked.Store(true)
			clear(found)
		}
		return found, nil
	})
	testenv.Eventually(t, "both messages are handled", func() bool { return l.count() == 2 })
}

// TestCopiesOfDeferredMessagesAreAcknowledged repeats commands that conflict: one copy of each is enough.
func TestCopiesOfDeferredMessagesAreAcknowledged(t *testing.T) {
	t.Parallel()
	url := topology(t)
	l := &lockedRows{subjects: []string{"1", "2"}, handled: map[string]int{}}
	p := publisher(t, url)
	for range 5 {
		if _, err := p.Publish(t.Context(), messages(t, canceled(3)...)); err != nil {
			t.Fatal(err)
		}
	}
	// Another event of a subject has another effect. The last message is handled after all others were tried.
	if _, err := p.Publish(t.Context(), messages(t, event.SaleConfirmed{SaleID: 1}, event.SaleCanceled{SaleID: 4, Reason: event.ReasonCustomer})); err != nil {
		t.Fatal(err)
	}
	stop := consumeLocked(t, url, l, l.locked)
	testenv.Eventually(t, "the other messages are handled", func() bool { return l.count() == 2 })
	stop()
	if n := depth(t, url, event.StockQueue); n != 3 {
		t.Errorf("%d messages are not acknowledged, want one of each type and subject", n)
	}
	l.unlocked.Store(true)
	stop = consumeLocked(t, url, l, l.locked)
	testenv.Eventually(t, "the deferred messages are handled", func() bool { return l.count() == 4 })
	stop()
	if got := fmt.Sprint(l.handled); got != "map[1:2 2:1 3:5 4:1]" {
		t.Errorf("handled %s, want the two events of 1 and one of 2 once", got)
	}
}

// TestLockedRowsAreNotSearched has many messages that conflict: when the handler tells which, the others are handled
// with few calls, and so are all of them later.
func TestLockedRowsAreNotSearched(t *testing.T) {
	t.Parallel()
	url := topology(t)
	l := &lockedRows{handled: map[string]int{}}
	for i := range 200 {
		l.subjects = append(l.subjects, strconv.Itoa(2*i+1))
	}
	if _, err := publisher(t, url).Publish(t.Context(), messages(t, canceled(400)...)); err != nil {
		t.Fatal(err)
	}
	errUnknown := errors.New("not known")
	stop := consumeLocked(t, url, l, func(ctx context.Context, batch []event.Envelope, wait bool) ([]bool, error) {
		found, _ := l.locked(ctx, batch, wait)
		if slices.Contains(l.subjects, batch[len(batch)-1].Subject) || len(batch) < 100 {
			return found, nil
		}
		return found, errUnknown // The batch is then split.
	})
	testenv.Eventually(t, "the others are handled", func() bool { return l.count() == 200 })
	l.unlocked.Store(true)
	testenv.Eventually(t, "all are handled", func() bool { return l.count() == 400 })
	stop()
	if n := l.calls.Load(); n > 100 {
		t.Errorf("%d calls of the handler, want fewer than there are messages that conflict", n)
	}
	testenv.Eventually(t, "all are acknowledged", func() bool { return depth(t, url, event.StockQueue) == 0 })
}
