package invalidation_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/gateway/internal/invalidation"
	"ecommerce-stack.dev/services/internal/broker"
)

// recorder is a cache that records the calls to it.
type recorder struct{ calls chan string }

func (r recorder) SetConnected(yes bool) {
	if yes {
		r.calls <- "connected"
		return
	}
	r.calls <- "disconnected"
}

func (r recorder) Changed(path string) { r.calls <- path }

func (r recorder) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-r.calls:
		if got != want {
			t.Fatalf("call %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("no call %q in time", want)
	}
}

func listen(t *testing.T, url string) (recorder, context.CancelFunc, chan struct{}) {
	t.Helper()
	r := recorder{make(chan string, 100)}
	l := invalidation.Listener{URL: url, Cache: r, Log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return r, stop, done
}

func publish(t *testing.T, info testenv.BrokerInfo, body []byte) {
	t.Helper()
	conn, err := amqp.Dial(info.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.PublishWithContext(t.Context(), event.Exchange, event.ProductChangedType, false, false, amqp.Publishing{Body: body}); err != nil {
		t.Fatal(err)
	}
}

func changed(t *testing.T, id int64) []byte {
	t.Helper()
	e, err := event.New("stock", event.ProductChanged{ProductID: id}, time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := broker.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return m.Body
}

func TestEveryGatewayReceivesAChange(t *testing.T) {
	t.Parallel()
	info := testenv.Broker(t)
	if err := broker.Declare(info.URL()); err != nil {
		t.Fatal(err)
	}
	one, _, _ := listen(t, info.URL())
	two, stop, done := listen(t, info.URL())
	one.expect(t, "connected")
	two.expect(t, "connected")
	publish(t, info, changed(t, 7))
	one.expect(t, "/products/7")
	two.expect(t, "/products/7")
	publish(t, info, []byte("{"))
	one.expect(t, "connected") // everything may have changed
	two.expect(t, "connected")
	stop()
	<-done
	two.expect(t, "disconnected")
	publish(t, info, changed(t, 8))
	one.expect(t, "/products/8")
}

func TestListenerWaitsForTopology(t *testing.T) {
	t.Parallel()
	info := testenv.Broker(t)
	r, _, _ := listen(t, info.URL())
	select {
	case got := <-r.calls:
		t.Fatalf("call %q without an exchange", got)
	case <-time.After(300 * time.Millisecond):
	}
	if err := broker.Declare(info.URL()); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "connected")
}

func TestListenerReconnects(t *testing.T) {
	t.Parallel()
	info := testenv.Broker(t)
	if err := broker.Declare(info.URL()); err != nil {
		t.Fatal(err)
	}
	r, _, _ := listen(t, info.URL())
	r.expect(t, "connected")
	management, err := info.Management()
	if err != nil {
		t.Fatal(err)
	}
	// The management page learns of a connection some seconds after it is made.
	for closed := 0; closed == 0; {
		conns, err := management.ListVhostConnections(info.VHost)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range conns {
			if _, err := management.CloseConnection(c.Name); err == nil {
				closed++
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatal("no connection to close")
		case <-time.After(50 * time.Millisecond):
		}
	}
	r.expect(t, "disconnected")
	r.expect(t, "connected")
	publish(t, info, changed(t, 7))
	r.expect(t, "/products/7")
}

func TestListenerRetriesWithoutBroker(t *testing.T) {
	t.Parallel()
	r, stop, done := listen(t, "amqp://user:password@127.0.0.1:1/")
	select {
	case got := <-r.calls:
		t.Fatalf("call %q without a broker", got)
	case <-time.After(300 * time.Millisecond):
	}
	stop()
	<-done
}
