package httpapi_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/broker"
)

// repeat repeats commands and returns their numbers by type, with the events in the outbox.
func (s testService) repeat(t *testing.T) (map[string]int, []event.Envelope) {
	t.Helper()
	if err := s.db.Exec("DELETE FROM outbox").Error; err != nil {
		t.Fatal(err)
	}
	repeated, err := s.store.Repeat(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var bodies [][]byte
	if err := s.db.Raw("SELECT body FROM outbox").Scan(&bodies).Error; err != nil {
		t.Fatal(err)
	}
	var published []event.Envelope
	for _, body := range bodies {
		e, err := event.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		published = append(published, e)
	}
	return repeated, published
}

// await moves the time at which the command of a sale is repeated to the past.
func (s testService) await(t *testing.T, id int64) {
	t.Helper()
	if err := s.db.Exec("UPDATE sales SET repeat_at = repeat_at - INTERVAL 1 HOUR, updated_at = updated_at - INTERVAL 1 HOUR WHERE id = ?", id).Error; err != nil {
		t.Fatal(err)
	}
}

// An outage of the broker leaves the commands in the outbox, where copies of them would delay all others.
func TestCommandsAreNotRepeatedWhileTheOutboxIsBehind(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	s.await(t, id)
	if err := s.db.Exec("DELETE FROM outbox").Error; err != nil {
		t.Fatal(err)
	}
	const most = 1000 // of which all may be on their way
	fill := func(rows int) {
		t.Helper()
		err := s.db.Exec("INSERT INTO outbox (event_id, body) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "+
			"SELECT UNHEX(REPLACE(UUID(), '-', '')), '{}' FROM n a, n b LIMIT ?", rows).Error
		if err != nil {
			t.Fatal(err)
		}
	}
	fill(most + 1)
	if repeated, err := s.store.Repeat(t.Context()); err != nil || len(repeated) > 0 {
		t.Errorf("with %d events that wait: repeated %v, %v", most+1, repeated, err)
	}
	if err := s.db.Exec("DELETE FROM outbox LIMIT 1").Error; err != nil {
		t.Fatal(err)
	}
	if repeated, err := s.store.Repeat(t.Context()); err != nil || repeated[event.SaleCreatedType] != 1 {
		t.Errorf("with %d events that wait: repeated %v, %v; want the command of the sale", most, repeated, err)
	}
}

func TestCommandWithoutResponseIsPublishedAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	expect := func(what string, want ...string) {
		t.Helper()
		repeated, published := s.repeat(t)
		counts := map[string]int{}
		for _, name := range want {
			counts[name]++
		}
		if !maps.Equal(repeated, counts) || len(published) != len(want) {
			t.Fatalf("%s: repeated %v, published %d events, want %v", what, repeated, len(published), counts)
		}
		for _, e := range published {
			if !strings.Contains(string(e.Data), `"repeated":true`) || e.Subject != fmt.Sprint(id) {
				t.Errorf("%s: %s of sale %s is not marked: %s", what, e.Type, e.Subject, e.Data)
			}
		}
	}
	expect("in time")
	s.await(t, id)
	expect("no response to SaleCreated", event.SaleCreatedType)
	expect("at once again")
	s.receive(t, reserved(id))
	expect("the time begins again with the next command")
	s.await(t, id)
	expect("no response to SaleConfirmed", event.SaleConfirmedType)
	s.receive(t, event.StockReleased{SaleID: id})
	s.await(t, id)
	expect("stock has responded")

	id = s.place(t, order)
	s.expectStatus(t, 204, "DELETE", path(id), s.ann, "")
	s.await(t, id)
	expect("no response to SaleCanceled", event.SaleCanceledType)
	s.receive(t, event.StockCanceled{SaleID: id})
	s.await(t, id)
	expect("stock has released")

	if entries := s.Call(t, "GET", path(id, "/events"), s.ann, "").Body; strings.Contains(string(entries), "repeated") {
		t.Errorf("repeated commands are in the timeline: %s", entries)
	}
}

func TestTimeBetweenRepetitionsDoublesToAnHour(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	for _, c := range []struct{ age, want time.Duration }{
		{time.Second, time.Minute}, {2 * time.Minute, 2 * time.Minute}, {30 * time.Minute, 30 * time.Minute}, {48 * time.Hour, time.Hour},
	} {
		err := s.db.Exec("UPDATE sales SET repeat_at = NOW(6), updated_at = NOW(6) - INTERVAL ? SECOND WHERE id = ?", c.age.Seconds(), id).Error
		if err != nil {
			t.Fatal(err)
		}
		if repeated, _ := s.repeat(t); len(repeated) != 1 {
			t.Fatalf("after %s: repeated %v, want one", c.age, repeated)
		}
		var seconds float64
		if err := s.db.Raw("SELECT TIMESTAMPDIFF(MICROSECOND, NOW(6), repeat_at) / 1e6 FROM sales WHERE id = ?", id).Scan(&seconds).Error; err != nil {
			t.Fatal(err)
		}
		if seconds > c.want.Seconds()+20 || seconds < c.want.Seconds()-20 {
			t.Errorf("after %s: repeated again in %v s, want %s", c.age, seconds, c.want)
		}
	}
}

func TestReservationWithoutALineIsPoison(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, `{"items":[{"productId":7,"quantity":2},{"productId":9,"quantity":1}]}`)
	e, err := event.New("stock", reserved(id), time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.handler.Handle(t.Context(), []event.Envelope{e}); !errors.Is(err, broker.ErrPoison) {
		t.Errorf("error %v, want %v", err, broker.ErrPoison)
	}
	if got := s.Call(t, "GET", path(id), s.ann, "").JSON(t); got["status"] != "Pending" || got["totalAmount"] != nil {
		t.Errorf("got %v, want it Pending without a total", got)
	}
}
