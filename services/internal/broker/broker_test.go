package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// topology declares the topology in a new virtual host and returns its URL.
func topology(t *testing.T) string {
	t.Helper()
	url := testenv.Broker(t).URL()
	if err := broker.Declare(url); err != nil {
		t.Fatal(err)
	}
	return url
}

func publisher(t *testing.T, url string) *broker.Publisher {
	t.Helper()
	p := broker.NewPublisher(url, "test")
	t.Cleanup(p.Close)
	return p
}

func messages(t *testing.T, data ...event.Data) []broker.Message {
	t.Helper()
	batch := make([]broker.Message, len(data))
	for i, d := range data {
		e, err := event.New("sales", d, time.Now(), "")
		if err != nil {
			t.Fatal(err)
		}
		if batch[i], err = broker.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return batch
}

func canceled(n int) []event.Data {
	data := make([]event.Data, n)
	for i := range data {
		data[i] = event.SaleCanceled{SaleID: int64(i + 1), Reason: event.ReasonCustomer}
	}
	return data
}

// recorder is a Handler that records the batches, and fails where fail returns an error.
type recorder struct {
	mu      sync.Mutex
	handled []string // subjects whose batch was handled
	batches []int
	fail    func(batch []event.Envelope) error
	changed chan struct{}
}

func newRecorder(fail func([]event.Envelope) error) *recorder {
	return &recorder{fail: fail, changed: make(chan struct{}, 1000)}
}

func (r *recorder) Handle(_ context.Context, batch []event.Envelope) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, len(batch))
	defer func() { r.changed <- struct{}{} }()
	if r.fail != nil {
		if err := r.fail(batch); err != nil {
			return err
		}
	}
	for _, e := range batch {
		r.handled = append(r.handled, e.Subject)
	}
	return nil
}

// wait until n events were handled.
func (r *recorder) wait(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		r.mu.Lock()
		got := len(r.handled)
		r.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-r.changed:
		case <-deadline:
			t.Fatalf("%d events were handled, want %d", got, n)
		}
	}
}

var errUnavailable = errors.New("the database is unavailable")

// consume runs a consumer of StockQueue until stop is called or the test ends.
func consume(t *testing.T, url string, r *recorder) (stop func()) {
	t.Helper()
	c := broker.NewConsumer(broker.Settings{URL: url, Name: "test", Queue: event.StockQueue, MaxAttempts: 2,
		IsTransient: func(err error) bool { return errors.Is(err, errUnavailable) }}, r, quiet, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// depth counts the messages that wait in a queue.
func depth(t *testing.T, url, queue string) int {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		_, ok, err := ch.Get(queue, false)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return n
		}
		n++
	}
}

func TestEventsArriveInBatchesAndAreAcknowledged(t *testing.T) {
	t.Parallel()
	url := topology(t)
	confirmed, err := publisher(t, url).Publish(t.Context(), messages(t, canceled(300)...))
	if err != nil || len(confirmed) != 300 {
		t.Fatalf("published %d of 300: %v", len(confirmed), err)
	}
	r := newRecorder(nil)
	stop := consume(t, url, r)
	r.wait(t, 300)
	stop()
	if len(r.batches) > 100 {
		t.Errorf("300 events came in %d batches, want far fewer", len(r.batches))
	}
	if n := depth(t, url, event.StockQueue); n != 0 {
		t.Errorf("%d messages are left in the queue, want none", n)
	}
}

func TestUnroutableEventsAreNotConfirmed(t *testing.T) {
	t.Parallel()
	url := topology(t)
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueUnbind(event.StockQueue, event.SaleCanceledType, event.Exchange, nil); err != nil {
		t.Fatal(err)
	}
	batch := messages(t, event.SaleCanceled{SaleID: 1}, event.SaleConfirmed{SaleID: 2}, event.ProductChanged{ProductID: 3})
	confirmed, err := publisher(t, url).Publish(t.Context(), batch)
	if !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("error %v, want ErrUnroutable", err)
	}
	if len(confirmed) != 2 || confirmed[0].Type != event.SaleConfirmedType || confirmed[1].Type != event.ProductChangedType {
		t.Errorf("confirmed %v, want the two that have a queue or do not need one", confirmed)
	}
}

func TestOnlyPoisonMessageIsDeadLettered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		tries int // of the message alone
	}{
		"poison":           {fmt.Errorf("no: %w", broker.ErrPoison), 1},
		"an unknown error": {errors.New("something unexpected"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := topology(t)
			if _, err := publisher(t, url).Publish(t.Context(), messages(t, canceled(20)...)); err != nil {
				t.Fatal(err)
			}
			alone := 0
			r := newRecorder(func(batch []event.Envelope) error {
				for _, e := range batch {
					if e.Subject == "13" {
						if len(batch) == 1 {
							alone++
						}
						return c.err
					}
				}
				return nil
			})
			stop := consume(t, url, r)
			r.wait(t, 19)
			testenv.Eventually(t, "the poison message is in the dead-letter queue", func() bool {
				return depth(t, url, event.StockQueue+event.DeadLetterSuffix) == 1
			})
			stop()
			if alone != c.tries {
				t.Errorf("the message was tried alone %d times, want %d", alone, c.tries)
			}
			if n := depth(t, url, event.StockQueue); n != 0 {
				t.Errorf("%d messages are left in the queue, want none", n)
			}
		})
	}
}

func TestHandlerPanicIsAnError(t *testing.T) {
	t.Parallel()
	url := topology(t)
	if _, err := publisher(t, url).Publish(t.Context(), messages(t, canceled(2)...)); err != nil {
		t.Fatal(err)
	}
	r := newRecorder(func(batch []event.Envelope) error {
		if batch[0].Subject == "1" {
			panic("a bug")
		}
		return nil
	})
	consume(t, url, r)
	r.wait(t, 1)
	testenv.Eventually(t, "the message that panics is dead-lettered", func() bool {
		return depth(t, url, event.StockQueue+event.DeadLetterSuffix) == 1
	})
}

func TestUnreadableMessagesAreDeadLettered(t *testing.T) {
	t.Parallel()
	url := topology(t)
	batch := messages(t, canceled(3)...)
	batch[1].Body = []byte(`{"specversion":"1.0"`)
	if _, err := publisher(t, url).Publish(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	r := newRecorder(nil)
	consume(t, url, r)
	r.wait(t, 2)
	testenv.Eventually(t, "the unreadable message is dead-lettered", func() bool {
		return depth(t, url, event.StockQueue+event.DeadLetterSuffix) == 1
	})
}

func TestBatchIsRetriedWhileDependencyIsUnavailable(t *testing.T) {
	t.Parallel()
	url := topology(t)
	if _, err := publisher(t, url).Publish(t.Context(), messages(t, canceled(5)...)); err != nil {
		t.Fatal(err)
	}
	calls := 0
	r := newRecorder(func([]event.Envelope) error {
		if calls++; calls <= 8 { // More often than MaxAttempts.
			return errUnavailable
		}
		return nil
	})
	stop := consume(t, url, r)
	r.wait(t, 5)
	stop()
	if n := depth(t, url, event.StockQueue+event.DeadLetterSuffix); n != 0 {
		t.Errorf("%d messages were dead-lettered, want none", n)
	}
}

func TestStopFinishesCurrentBatch(t *testing.T) {
	t.Parallel()
	url := topology(t)
	if _, err := publisher(t, url).Publish(t.Context(), messages(t, canceled(1)...)); err != nil {
		t.Fatal(err)
	}
	handling, proceed := make(chan struct{}), make(chan struct{})
	r := newRecorder(func([]event.Envelope) error {
		close(handling)
		<-proceed
		return nil
	})
	stop := consume(t, url, r)
	<-handling
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(proceed)
	<-stopped
	r.wait(t, 1)
	if n := depth(t, url, event.StockQueue); n != 0 {
		t.Errorf("the handled message was not acknowledged")
	}
}

func TestWaitingMessagesAreCounted(t *testing.T) {
	t.Parallel()
	p := publisher(t, topology(t))
	if _, err := p.Waiting(t.Context(), "missing"); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a missing queue: %v", err)
	}
	if _, err := p.Publish(t.Context(), messages(t, canceled(3)...)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the messages are counted", func() bool {
		n, err := p.Waiting(t.Context(), event.StockQueue)
		if err != nil {
			t.Fatal(err)
		}
		return n == 3
	})
}

func TestPublisherAndConsumerReconnect(t *testing.T) {
	t.Parallel()
	info := testenv.Broker(t)
	url := info.URL()
	if err := broker.Declare(url); err != nil {
		t.Fatal(err)
	}
	p, r := publisher(t, url), newRecorder(nil)
	consume(t, url, r)
	if _, err := p.Publish(t.Context(), messages(t, canceled(1)...)); err != nil {
		t.Fatal(err)
	}
	r.wait(t, 1)
	client, err := info.Management()
	if err != nil {
		t.Fatal(err)
	}
	closed := 0
	testenv.Eventually(t, "the management API lists both connections", func() bool {
		conns, err := client.ListVhostConnections(info.VHost)
		if err != nil || len(conns) < 2 {
			return false
		}
		for _, c := range conns {
			if res, err := client.CloseConnection(c.Name); err == nil {
				_ = res.Body.Close()
				closed++
			}
		}
		return true
	})
	if closed < 2 {
		t.Fatalf("closed %d connections, want both", closed)
	}
	testenv.Eventually(t, "an event is confirmed after the connections were closed", func() bool {
		confirmed, err := p.Publish(t.Context(), messages(t, event.SaleCanceled{SaleID: 2}))
		return err == nil && len(confirmed) == 1
	})
	r.wait(t, 2)
}

func TestErrorsDoNotContainThePassword(t *testing.T) {
	t.Parallel()
	p := broker.NewPublisher("amqp://user:s3cret@:bad:port/", "test")
	if err := p.Ping(t.Context()); err == nil || len(err.Error()) == 0 || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v, want one without the password", err)
	}
}
