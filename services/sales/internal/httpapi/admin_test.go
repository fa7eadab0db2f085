package httpapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/sales/internal/deadletter"
)

// redriveRecorder records the redriven dead letters, or fails with err.
type redriveRecorder struct {
	sent []event.DeadLetter
	err  error
}

func (r *redriveRecorder) send(_ context.Context, l event.DeadLetter) error {
	if r.err == nil {
		r.sent = append(r.sent, l)
	}
	return r.err
}

func (s testService) storeDeadLetters(t *testing.T, deadLetters ...event.DeadLetter) {
	t.Helper()
	for _, l := range deadLetters {
		if err := s.store.StoreDeadLetter(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
}

func newDeadLetter(body string) event.DeadLetter {
	return event.DeadLetter{Queue: event.StockQueue, Reason: "rejected", DiedAt: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		MessageID: "0197c0de-0000-7000-8000-000000000001", Type: event.SaleCreatedType, Correlation: "42",
		TraceParent: "00-a-b-01", ContentType: event.ContentType, Body: []byte(body)}
}

// listDeadLetters returns the dead letters in the response to a manager.
func (s testService) listDeadLetters(t *testing.T) []map[string]any {
	t.Helper()
	a := s.Call(t, "GET", "/admin/dead-letters", s.manager, "")
	if a.Status != 200 {
		t.Fatalf("list: %d %s", a.Status, a.Body)
	}
	var out []map[string]any
	for _, item := range a.JSON(t)["items"].([]any) {
		out = append(out, item.(map[string]any))
	}
	return out
}

func TestDeadLettersAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := newDeadLetter(`{"specversion":"1.0"`)
	binaryBody := event.DeadLetter{Queue: event.SalesQueue, Reason: "delivery_limit", DiedAt: first.DiedAt, MessageID: "\xff", Body: []byte("\xff\xfe")}
	s.storeDeadLetters(t, first, first, binaryBody, newDeadLetter(strings.Repeat("€", 3000)))
	got := s.listDeadLetters(t)
	if len(got) != 3 {
		t.Fatalf("%d dead letters, want 3, because one was stored twice\n%v", len(got), got)
	}
	if l := got[2]; l["queue"] != event.StockQueue || l["reason"] != "rejected" || l["eventType"] != "SaleCreated" || l["saleId"] != 42.0 ||
		l["body"] != string(first.Body) || l["bodyBytes"] != float64(len(first.Body)) || l["diedAt"] != "2026-11-23T09:00:00Z" {
		t.Errorf("the first: %v", l)
	}
	if l := got[1]; l["body"] != base64.StdEncoding.EncodeToString(binaryBody.Body) || l["bodyEncoding"] != "base64" {
		t.Errorf("the one that is not text: %v", l)
	}
	if l := got[0]; l["body"] != strings.Repeat("€", 4096/3) || l["bodyBytes"] != 9000.0 {
		t.Errorf("the long one is not truncated after a complete character: %v", l)
	}
	page := s.Call(t, "GET", "/admin/dead-letters?limit=2", s.manager, "").JSON(t)
	rest := s.Call(t, "GET", "/admin/dead-letters?limit=2&cursor="+page["nextCursor"].(string), s.manager, "").JSON(t)
	if len(page["items"].([]any)) != 2 || len(rest["items"].([]any)) != 1 || rest["nextCursor"] != nil {
		t.Errorf("pages of 2: %v, then %v", page, rest)
	}
}

func TestRedriveSendsTheOriginalMessage(t *testing.T) {
	t.Parallel()
	s := open(t)
	stored := newDeadLetter("\x00\xff{}")
	s.storeDeadLetters(t, stored)
	id := int64(s.listDeadLetters(t)[0]["id"].(float64))
	redrive := fmt.Sprintf("/admin/dead-letters/%d/redrive", id)

	s.redriven.err = errors.New("the broker is unavailable")
	if a := s.Call(t, "POST", redrive, s.manager, ""); a.Status != 503 || a.Header.Get("Retry-After") == "" || len(s.listDeadLetters(t)) != 1 {
		t.Errorf("without a broker: %d %s and %d dead letters, want 503 and one", a.Status, a.Body, len(s.listDeadLetters(t)))
	}
	s.redriven.err = nil
	if a := s.Call(t, "POST", redrive, s.manager, ""); a.Status != 204 {
		t.Errorf("redrive: %d %s", a.Status, a.Body)
	}
	if len(s.redriven.sent) != 1 || fmt.Sprint(s.redriven.sent[0]) != fmt.Sprint(stored) {
		t.Errorf("sent %v, want %v", s.redriven.sent, stored)
	}
	if a := s.Call(t, "POST", redrive, s.manager, ""); a.Status != 404 || a.Code() != "dead_letter_not_found" || len(s.listDeadLetters(t)) != 0 {
		t.Errorf("again: %d %s", a.Status, a.Body)
	}
	if log := s.log.String(); strings.Count(log, "redriven") != 1 || !strings.Contains(log, fmt.Sprintf("deadLetterId=%d actorId=1 ", id)) {
		t.Errorf("the log does not name the manager once: %s", log)
	}
}

func TestDeadLetterIsDeleted(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.storeDeadLetters(t, newDeadLetter("{}"))
	id := int64(s.listDeadLetters(t)[0]["id"].(float64))
	deadLetterPath := fmt.Sprintf("/admin/dead-letters/%d", id)
	if a := s.Call(t, "DELETE", deadLetterPath, s.manager, ""); a.Status != 204 || len(s.listDeadLetters(t)) != 0 {
		t.Errorf("delete: %d %s", a.Status, a.Body)
	}
	if a := s.Call(t, "DELETE", deadLetterPath, s.manager, ""); a.Status != 404 || a.Code() != "dead_letter_not_found" {
		t.Errorf("again: %d %s", a.Status, a.Body)
	}
	if log := s.log.String(); !strings.Contains(log, "deleted") || !strings.Contains(log, fmt.Sprintf("deadLetterId=%d actorId=1 ", id)) {
		t.Errorf("the log does not name the manager: %s", log)
	}
	if n, err := s.store.CountDeadLetters(t.Context()); n != 0 || err != nil {
		t.Errorf("%d dead letters are counted (%v), want 0", n, err)
	}
}

func TestManagersListSalesOfAllClients(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := s.place(t, order)
	s.receive(t, reserved(first))
	s.place(t, order)
	if a := s.Call(t, "POST", "/sales", s.bob, order); a.Status != 202 {
		t.Fatalf("bob's order: %d", a.Status)
	}
	for query, want := range map[string]int{
		"": 3, "?status=Pending": 2, "?status=Confirmed": 1, "?customerId=5": 2, "?customerId=5&status=Pending": 1, "?customerId=99": 0,
	} {
		if got := s.Call(t, "GET", "/admin/sales"+query, s.manager, "").JSON(t)["items"].([]any); len(got) != want {
			t.Errorf("%q: %d sales, want %d", query, len(got), want)
		}
	}
	page := s.Call(t, "GET", "/admin/sales?limit=2", s.manager, "").JSON(t)
	next := page["nextCursor"].(string)
	if rest := s.Call(t, "GET", "/admin/sales?limit=2&cursor="+next, s.manager, "").JSON(t); len(rest["items"].([]any)) != 1 || rest["nextCursor"] != nil {
		t.Errorf("the second page: %v", rest)
	}
	for query, location := range map[string]string{"customerId=5&cursor=" + next: "query.cursor", "customerId=0": "query.customerId", "status=x": "query.status"} {
		if a := s.Call(t, "GET", "/admin/sales?"+query, s.manager, ""); a.Status != 422 || a.Locations() != location {
			t.Errorf("?%s: %d naming %q, want 422 naming %q", query, a.Status, a.Locations(), location)
		}
	}
	if a := s.Call(t, "GET", "/admin/sales", s.ann, ""); a.Status != 403 {
		t.Errorf("as a client: %d, want 403", a.Status)
	}
}

func TestAdminOperationsWithoutDatabaseRespond503(t *testing.T) {
	t.Parallel()
	s := openWithDSN(t, "unknown:secret@tcp(127.0.0.1:1)/none")
	for _, call := range [][2]string{{"GET", "/admin/sales"}, {"GET", "/admin/dead-letters"}, {"POST", "/admin/dead-letters/1/redrive"}, {"DELETE", "/admin/dead-letters/1"}} {
		if a := s.Call(t, call[0], call[1], s.manager, ""); a.Status != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d, want 503 with Retry-After", call[0], call[1], a.Status)
		}
	}
	if err := s.store.StoreDeadLetter(t.Context(), newDeadLetter("{}")); !database.IsUnavailable(err) {
		t.Errorf("store a dead letter: %v, want an error for which IsUnavailable is true", err)
	}
}

// TestLongDeadLetterIsStoredInPart stores a message that is longer than the largest statement of
// most servers.
func TestLongDeadLetterIsStoredInPart(t *testing.T) {
	t.Parallel()
	s := open(t)
	long, exact := newDeadLetter(strings.Repeat("x", 20<<20)), newDeadLetter(strings.Repeat("y", deadletter.MaxBodyStored))
	long.Headers = []byte(`{"x-death":[{"queue":"stock.sale-events"}]}`)
	s.storeDeadLetters(t, long, long, exact)
	listed := s.listDeadLetters(t)
	if len(listed) != 2 || listed[1]["bodyBytes"] != float64(20<<20) || listed[1]["incomplete"] != true || listed[0]["incomplete"] != nil {
		t.Fatalf("got %d dead letters, want the complete one, and one with the size of the message", len(listed))
	}
	if headers := fmt.Sprint(listed[1]["headers"]); headers != "map[x-death:[map[queue:stock.sale-events]]]" {
		t.Errorf("headers %s", headers)
	}
	a := s.Call(t, "POST", fmt.Sprintf("/admin/dead-letters/%v/redrive", listed[1]["id"]), s.manager, "")
	if a.Status != 409 || a.Code() != "dead_letter_incomplete" || len(s.redriven.sent) != 0 {
		t.Errorf("redrive: %d %s, want 409 dead_letter_incomplete", a.Status, a.Body)
	}
	s.expectStatus(t, 204, "POST", fmt.Sprintf("/admin/dead-letters/%v/redrive", listed[0]["id"]), s.manager, "")
	if len(s.redriven.sent) != 1 || len(s.redriven.sent[0].Body) != deadletter.MaxBodyStored {
		t.Error("a message of the maximum size was not redriven")
	}
	s.expectStatus(t, 204, "DELETE", fmt.Sprintf("/admin/dead-letters/%v", listed[1]["id"]), s.manager, "")
}

func TestDeadLettersAreRedrivenByFilter(t *testing.T) {
	t.Parallel()
	s := open(t)
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	letter := func(body string, change func(*event.DeadLetter)) event.DeadLetter {
		l := newDeadLetter(body)
		l.DiedAt = noon
		change(&l)
		return l
	}
	s.storeDeadLetters(t,
		letter("other type", func(l *event.DeadLetter) { l.Type = event.SaleCanceledType }),
		letter("other queue", func(l *event.DeadLetter) { l.Queue = event.SalesQueue }),
		letter("other reason", func(l *event.DeadLetter) { l.Reason = "delivery_limit" }),
		letter("older", func(l *event.DeadLetter) { l.DiedAt = noon.Add(-time.Hour) }),
		letter("newer", func(l *event.DeadLetter) { l.DiedAt = noon.Add(time.Hour) }),
		letter(strings.Repeat("x", deadletter.MaxBodyStored+1), func(*event.DeadLetter) {}),
		letter("1", func(*event.DeadLetter) {}), letter("2", func(*event.DeadLetter) {}), letter("3", func(*event.DeadLetter) {}),
	)
	const filter = `"queue":"stock.sale-events","eventType":"SaleCreated","reason":"rejected","diedAfter":"2026-11-23T11:59:00Z","diedBefore":"2026-11-23T12:01:00Z"`
	redrive := func(body string) redriveResult {
		t.Helper()
		a := s.Call(t, "POST", "/admin/dead-letters/redrive", s.manager, body)
		var result redriveResult
		if err := json.Unmarshal(a.Body, &result); err != nil || a.Status != 200 {
			t.Fatalf("%s: %d %s", body, a.Status, a.Body)
		}
		return result
	}
	expect := func(what string, got redriveResult, number int, dryRun, more bool, sent ...string) {
		t.Helper()
		var bodies []string
		for _, l := range s.redriven.sent {
			bodies = append(bodies, string(l.Body))
		}
		if len(got.IDs) != number || got.DryRun != dryRun || got.Skipped != 1 || got.More != more || !slices.Equal(bodies, sent) {
			t.Errorf("%s: %+v, and %q were sent, want %d ids and %q", what, got, bodies, number, sent)
		}
	}
	expect("dry run", redrive(`{`+filter+`,"limit":2,"dryRun":true}`), 2, true, true)
	if n := len(s.listDeadLetters(t)); n != 9 {
		t.Errorf("%d dead letters after a dry run, want 9", n)
	}
	expect("limit", redrive(`{`+filter+`,"limit":2}`), 2, false, true, "1", "2")
	expect("rest", redrive(`{`+filter+`}`), 1, false, false, "1", "2", "3")
	if n := len(s.listDeadLetters(t)); n != 6 {
		t.Errorf("%d dead letters, want the 6 that do not match or are incomplete", n)
	}
	// Each condition excludes one of them.
	for condition, want := range map[string]int{
		`"eventType":"SaleCanceled"`: 1, `"queue":"sales.stock-events"`: 1, `"reason":"delivery_limit"`: 1,
		`"diedBefore":"2026-11-23T12:00:00Z"`: 1, `"diedAfter":"2026-11-23T12:00:00Z"`: 1, `"reason":"rejected"`: 4, `"reason":"other"`: 0,
	} {
		if got := redrive(`{` + condition + `,"dryRun":true}`); len(got.IDs) != want {
			t.Errorf("%s matches %d dead letters, want %d", condition, len(got.IDs), want)
		}
	}
	s.redriven.err = errors.New("the broker is unavailable")
	if a := s.Call(t, "POST", "/admin/dead-letters/redrive", s.manager, `{}`); a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("without a broker: %d %s, want 503 with Retry-After", a.Status, a.Body)
	}
	if n := len(s.listDeadLetters(t)); n != 6 {
		t.Errorf("%d dead letters without a broker, want 6", n)
	}
	for body, field := range map[string]string{`{"limit":0}`: "body.limit", `{"limit":501}`: "body.limit", `{"diedBefore":"yesterday"}`: "body.diedBefore", `{"type":"x"}`: "body.type"} {
		if a := s.Call(t, "POST", "/admin/dead-letters/redrive", s.manager, body); a.Status != 422 || !strings.Contains(string(a.Body), field) {
			t.Errorf("%s: %d %s, want 422 for %s", body, a.Status, a.Body, field)
		}
	}
}

// redriveResult is a response of POST /admin/dead-letters/redrive.
type redriveResult struct {
	IDs     []int64
	DryRun  bool
	Skipped int
	More    bool
}
