package broker_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
)

// deadLetterStore stores dead letters in memory, unless fail returns an error.
type deadLetterStore struct {
	mu          sync.Mutex
	deadLetters []event.DeadLetter
	fail        func(event.DeadLetter) error
}

func (c *deadLetterStore) store(_ context.Context, l event.DeadLetter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		if err := c.fail(l); err != nil {
			return err
		}
	}
	c.deadLetters = append(c.deadLetters, l)
	return nil
}

func (c *deadLetterStore) stored() []event.DeadLetter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadLetters
}

func collect(t *testing.T, url string, c *deadLetterStore) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	collector := broker.DeadLetterCollector{URL: url, Name: "collector", Store: c.store, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		IsTransient: func(err error) bool { return errors.Is(err, errUnavailable) }}
	go func() { defer close(done); collector.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func TestRejectedMessageIsCollectedAndCanBeRedriven(t *testing.T) {
	t.Parallel()
	url := topology(t)
	var c deadLetterStore
	collect(t, url, &c)
	batch := messages(t, canceled(2)...)
	whole := batch[1].Body
	batch[1].Body = whole[:len(whole)-1]
	p := publisher(t, url)
	if _, err := p.Publish(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	r := newRecorder(nil)
	consume(t, url, r)
	testenv.Eventually(t, "the unreadable message is collected", func() bool { return len(c.stored()) == 1 })
	got := c.stored()[0]
	if got.Queue != event.StockQueue || got.Reason != "rejected" || got.MessageID != batch[1].ID.String() || got.Type != event.SaleCanceledType ||
		string(got.Body) != string(batch[1].Body) || got.ContentType != event.ContentType || got.DiedAt.IsZero() ||
		!strings.Contains(string(got.Headers), `"queue":"`+event.StockQueue+`"`) {
		t.Errorf("collected %+v", got)
	}
	testenv.Eventually(t, "its queue is empty", func() bool { return depth(t, url, event.StockQueue+event.DeadLetterSuffix) == 0 })
	if err := p.Redrive(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "it is rejected again", func() bool { return len(c.stored()) == 2 })
	got.Body = whole
	if err := p.Redrive(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	r.wait(t, 2)
}

func TestDeadLetterThatCannotBeStoredStaysInItsQueue(t *testing.T) {
	t.Parallel()
	url := topology(t)
	batch := messages(t, canceled(3)...)
	for i := range batch {
		batch[i].Body = []byte{'0' + byte(i)}
	}
	if _, err := publisher(t, url).Publish(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	consume(t, url, newRecorder(nil))
	unavailable := 3
	c := deadLetterStore{fail: func(l event.DeadLetter) error {
		if unavailable--; unavailable >= 0 {
			return errUnavailable
		}
		if string(l.Body) == "0" {
			return errors.New("too large")
		}
		return nil
	}}
	stop := collect(t, url, &c)
	testenv.Eventually(t, "the others are collected", func() bool { return len(c.stored()) == 2 })
	stop()
	testenv.Eventually(t, "the dead letter that cannot be stored is in its queue", func() bool { return depth(t, url, event.StockQueue+event.DeadLetterSuffix) == 1 })
}

func TestRedriveWithoutQueueIsAnError(t *testing.T) {
	t.Parallel()
	p := publisher(t, topology(t))
	if err := p.Redrive(t.Context(), event.DeadLetter{Queue: "unknown", Body: []byte("{}")}); !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("got %v, want ErrUnroutable", err)
	}
	if err := broker.NewPublisher("amqp://127.0.0.1:1", "test").Redrive(t.Context(), event.DeadLetter{Queue: event.StockQueue}); err == nil {
		t.Error("redriven without a broker")
	}
}
