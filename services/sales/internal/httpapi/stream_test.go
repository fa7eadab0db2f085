package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/httpapi"
	"ecommerce-stack.dev/services/sales/internal/mysql"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

const held = `{"hold":true,"items":[{"productId":7,"quantity":2}]}`

// schema returns the DSN of a migrated schema.
func schema(t *testing.T) string {
	t.Helper()
	dsn := testenv.Schema(t)
	if err := database.Migrate(t.Context(), dsn, mysql.Migrations(), quiet); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func TestStreamSendsChangesOfOtherReplicas(t *testing.T) {
	t.Parallel()
	dsn := schema(t)
	local, remote := openWithDSN(t, dsn), openWithDSN(t, dsn)
	id := local.place(t, order)
	events := local.stream(t, id, "")
	if got := <-events; got != "event: SaleCreated" {
		t.Fatalf("first event: %q", got)
	}
	remote.receive(t, reserved(id))
	if a, b := <-events, <-events; a != "event: SaleItemsReservedResponse" || b != "event: SaleConfirmed" {
		t.Errorf("then: %q and %q", a, b)
	}
}

func TestWaitEndsWhenAnotherReplicaDecides(t *testing.T) {
	t.Parallel()
	dsn := schema(t)
	local, remote := openWithDSN(t, dsn), openWithDSN(t, dsn)
	done := local.callAsync(t, "POST", "/sales", local.ann, order, "Prefer", "wait=30")
	remote.receive(t, reserved(local.firstSale(t)))
	if a := <-done; a.Status != 201 || a.JSON(t)["status"] != "Confirmed" {
		t.Errorf("%d %s, want 201 and Confirmed", a.Status, a.Body)
	}
}

func TestIdleStreamsShareOneStatement(t *testing.T) {
	t.Parallel()
	dsn := schema(t)
	s, remote := openWithoutWatcher(t, dsn), openWithoutWatcher(t, dsn)
	recorder := databasetest.Record(t, s.db)
	const streams = 220
	var events []<-chan string
	var ids []int64
	for range streams {
		id := s.place(t, order)
		ids, events = append(ids, id), append(events, s.stream(t, id, ""))
		if got := <-events[len(events)-1]; got != "event: SaleCreated" {
			t.Fatalf("first event: %q", got)
		}
	}
	poll := func() error { return s.watcher.Poll(t.Context(), s.store) }
	recorder.Run(t, "idle", func() error {
		for range 3 {
			if err := poll(); err != nil {
				return err
			}
		}
		return nil
	})
	if n := recorder.Count("idle"); n != 3 {
		t.Errorf("3 polls for %d idle streams ran %d statements, want 3", streams, n)
	}
	remote.receive(t, reserved(ids[0]), rejected(ids[streams-1]))
	recorder.Run(t, "changed", poll)
	if n := recorder.Count("changed"); n != 2 {
		t.Errorf("a poll that finds changes ran %d statements, want 2", n)
	}
	for i, want := range map[int]string{0: "event: SaleItemsReservedResponse", streams - 1: "event: SaleCreationFailed"} {
		if got := <-events[i]; got != want {
			t.Errorf("the stream of sale %d sent %q, want %q", ids[i], got, want)
		}
	}
}

func TestStreamStaysOpenWhileTheDatabaseFails(t *testing.T) {
	t.Parallel()
	s := openWithoutWatcher(t, schema(t))
	id := s.place(t, order)
	events := s.stream(t, id, "")
	<-events
	rename := func(from, to string) {
		if err := s.db.Exec("RENAME TABLE " + from + " TO " + to).Error; err != nil {
			t.Fatal(err)
		}
	}
	rename("timeline", "absent")
	if err := s.watcher.Poll(t.Context(), s.store); err == nil {
		t.Error("a poll without its table succeeded")
	}
	rename("absent", "timeline")
	s.receive(t, rejected(id))
	if err := s.watcher.Poll(t.Context(), s.store); err != nil {
		t.Error(err)
	}
	if got := <-events; got != "event: SaleCreationFailed" {
		t.Errorf("after the failure: %q", got)
	}
}

func TestStreamOfDecidedSaleEnds(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	s.receive(t, reserved(id))
	items := s.Call(t, "GET", path(id, "/events"), s.ann, "").JSON(t)["items"].([]any)
	last := fmt.Sprintf("%.0f", items[len(items)-1].(map[string]any)["id"])
	for _, after := range []string{last, "9223372036854775807"} {
		if a := s.Call(t, "GET", path(id, "/stream"), s.ann, "", "Last-Event-ID", after); a.Status != 204 || len(a.Body) != 0 {
			t.Errorf("after %s, where the last is %s: %d %s, want 204, which ends an EventSource", after, last, a.Status, a.Body)
		}
	}
	for after, want := range map[string]int{"": 3, "x": 3} {
		n := 0
		for range s.stream(t, id, after) {
			n++
		}
		if n != want {
			t.Errorf("after %q: %d events, want %d and the end", after, n, want)
		}
	}
}

// The requests of one connection are served one after the remote, so that the GET waits
// until the HEAD has been handled.
func TestHeadOfStreamHasNoBody(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, held)
	t.Cleanup(func() { // A stream that continues would delay the end of the server.
		_ = s.store.Cancel(context.Background(), id, annID)
		testenv.Eventually(t, "no request is in flight", func() bool { return s.inFlight(t) == 0 })
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(""), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	responses := bufio.NewReader(conn)
	for _, c := range []struct{ method, path, contentType string }{
		{"HEAD", path(id, "/stream"), "text/event-stream"}, {"GET", path(id), "application/json"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.URL(c.path), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", s.ann)
		if err := req.Write(conn); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(responses, req)
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, c.path, err)
		}
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != c.contentType || res.Close {
			t.Errorf("%s %s: %d %s, closes %v; want 200 %s and the connection open", c.method, c.path, res.StatusCode,
				res.Header.Get("Content-Type"), res.Close, c.contentType)
		}
		res.Body.Close()
	}
}

func TestTooManyStreamsRespond503(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	for range 10_000 {
		_, stop, err := s.watcher.Subscribe(id, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	if a := s.Call(t, "GET", path(id, "/stream"), s.ann, ""); a.Status != 503 || a.Code() != "unavailable" || a.Header.Get("Retry-After") == "" {
		t.Errorf("a stream: %d %s, want 503 with Retry-After", a.Status, a.Body)
	}
	if a := s.Call(t, "POST", "/sales", s.ann, order, "Prefer", "wait=30"); a.Status != 202 || a.Header.Get("Preference-Applied") != "" {
		t.Errorf("a wait: %d, applied %q; want 202 at once", a.Status, a.Header.Get("Preference-Applied"))
	}
}

// pendingSales is a store of sales that stay pending. It counts its reads.
type pendingSales struct {
	sale.Store
	reads, polls atomic.Int64
}

func (p *pendingSales) Timeline(_ context.Context, id, _, _ int64, _ int) ([]sale.Entry, error) {
	p.reads.Add(1)
	return []sale.Entry{{ID: id, SaleID: id, Type: "SaleCreated", Data: []byte("{}")}}, nil
}

func (p *pendingSales) NewestEntries(_ context.Context, ids []int64) (map[int64]int64, error) {
	p.polls.Add(1)
	newest := map[int64]int64{}
	for _, id := range ids {
		newest[id] = id
	}
	return newest, nil
}

func (p *pendingSales) EntriesAfter(context.Context, []int64, int64) ([]sale.Entry, error) {
	p.reads.Add(1)
	return nil, nil
}

// streamResponse is the response to a stream, in memory.
type streamResponse struct{ *httptest.ResponseRecorder }

func (streamResponse) SetWriteDeadline(time.Time) error { return nil }

func TestThousandIdleStreamsRunFourStatementsPerSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // Its time passes while all goroutines wait.
		const streams, minute = 1000, time.Minute
		keys := authntest.New(t)
		verifier, ann := keys.Verifier(t), keys.Bearer(t, annID, authn.Client)
		watcher, store := sale.NewWatcher(quiet), &pendingSales{}
		srv := server.New(server.Options{Name: "sales", Log: quiet, Metrics: telemetry.NewRegistry("sales"), Health: health.New(), Verifier: verifier})
		api := httpapi.API{Store: store, Watcher: watcher, Draining: srv.Draining(), Log: quiet}
		api.Register(srv.API())
		ctx, disconnect := context.WithCancel(t.Context())
		go watcher.Run(ctx, store)
		responses := make([]streamResponse, streams)
		var running sync.WaitGroup
		for i := range responses {
			responses[i] = streamResponse{httptest.NewRecorder()}
			req := httptest.NewRequestWithContext(ctx, "GET", path(int64(i+1), "/stream"), nil)
			req.Header.Set("Authorization", ann)
			running.Go(func() { srv.Handler().ServeHTTP(responses[i], req) })
		}
		time.Sleep(time.Second)
		synctest.Wait()
		reads, polls := store.reads.Load(), store.polls.Load()
		time.Sleep(minute)
		synctest.Wait()
		if r, s := store.reads.Load()-reads, store.polls.Load()-polls; r != 0 || s != 240 {
			t.Errorf("%d idle streams ran %d statements and %d polls in a minute, want none and 240", streams, r, s)
		}
		disconnect()
		running.Wait()
		for _, res := range responses {
			body := res.Body.String()
			if !res.Flushed || !strings.HasPrefix(body, ": connected\n\n") || strings.Count(body, ": still pending\n\n") != 12 {
				t.Fatalf("a stream sent %q in a minute, want a comment at once and every 5s", body)
			}
		}
	})
}
