package httpapi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
)

// redriven takes what is redriven, or fails.
type redriven struct {
	letters []event.DeadLetter
	err     error
}

func (r *redriven) send(_ context.Context, l event.DeadLetter) error {
	if r.err == nil {
		r.letters = append(r.letters, l)
	}
	return r.err
}

func (d desk) bury(t *testing.T, letters ...event.DeadLetter) {
	t.Helper()
	for _, l := range letters {
		if err := d.store.KeepLetter(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
}

func letter(body string) event.DeadLetter {
	return event.DeadLetter{Queue: event.StockQueue, Reason: "rejected", DiedAt: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		MessageID: "0197c0de-0000-7000-8000-000000000001", Type: event.SaleCreatedType, Correlation: "42",
		TraceParent: "00-a-b-01", ContentType: event.ContentType, Body: []byte(body)}
}

// letters lists the dead letters as a manager sees them.
func (d desk) letters(t *testing.T) []map[string]any {
	t.Helper()
	a := d.Call(t, "GET", "/admin/dead-letters", d.manager, "")
	if a.Status != 200 {
		t.Fatalf("list: %d %s", a.Status, a.Body)
	}
	var out []map[string]any
	for _, item := range a.JSON(t)["items"].([]any) {
		out = append(out, item.(map[string]any))
	}
	return out
}

func TestDeadLettersAreShownOnceNewestFirst(t *testing.T) {
	t.Parallel()
	d := open(t)
	first := letter(`{"specversion":"1.0"`)
	binary := event.DeadLetter{Queue: event.SalesQueue, Reason: "delivery_limit", DiedAt: first.DiedAt, MessageID: "\xff", Body: []byte("\xff\xfe")}
	d.bury(t, first, first, binary, letter(strings.Repeat("€", 3000)))
	got := d.letters(t)
	if len(got) != 3 {
		t.Fatalf("%d letters, want 3: the same one twice is one\n%v", len(got), got)
	}
	if l := got[2]; l["queue"] != event.StockQueue || l["reason"] != "rejected" || l["eventType"] != "SaleCreated" || l["saleId"] != 42.0 ||
		l["body"] != string(first.Body) || l["bodyBytes"] != float64(len(first.Body)) || l["diedAt"] != "2026-11-23T09:00:00Z" {
		t.Errorf("the first: %v", l)
	}
	if l := got[1]; l["body"] != base64.StdEncoding.EncodeToString(binary.Body) || l["bodyEncoding"] != "base64" {
		t.Errorf("the one that is no text: %v", l)
	}
	if l := got[0]; l["body"] != strings.Repeat("€", 4096/3) || l["bodyBytes"] != 9000.0 {
		t.Errorf("the long one is not shown up to its last whole character: %v", l)
	}
	page := d.Call(t, "GET", "/admin/dead-letters?limit=2", d.manager, "").JSON(t)
	rest := d.Call(t, "GET", "/admin/dead-letters?limit=2&cursor="+page["nextCursor"].(string), d.manager, "").JSON(t)
	if len(page["items"].([]any)) != 2 || len(rest["items"].([]any)) != 1 || rest["nextCursor"] != nil {
		t.Errorf("pages of 2: %v, then %v", page, rest)
	}
}

func TestALetterIsRedrivenAsItCame(t *testing.T) {
	t.Parallel()
	d := open(t)
	buried := letter("\x00\xff{}")
	d.bury(t, buried)
	id := int64(d.letters(t)[0]["id"].(float64))
	redrive := fmt.Sprintf("/admin/dead-letters/%d/redrive", id)

	d.redriven.err = errors.New("the broker is away")
	if a := d.Call(t, "POST", redrive, d.manager, ""); a.Status != 503 || a.Header.Get("Retry-After") == "" || len(d.letters(t)) != 1 {
		t.Errorf("without a broker: %d %s and %d letters, want 503 and the letter still there", a.Status, a.Body, len(d.letters(t)))
	}
	d.redriven.err = nil
	if a := d.Call(t, "POST", redrive, d.manager, ""); a.Status != 204 {
		t.Errorf("redrive: %d %s", a.Status, a.Body)
	}
	if len(d.redriven.letters) != 1 || fmt.Sprint(d.redriven.letters[0]) != fmt.Sprint(buried) {
		t.Errorf("sent %v, want %v", d.redriven.letters, buried)
	}
	if a := d.Call(t, "POST", redrive, d.manager, ""); a.Status != 404 || a.Code() != "dead_letter_not_found" || len(d.letters(t)) != 0 {
		t.Errorf("again: %d %s", a.Status, a.Body)
	}
	if log := d.log.String(); strings.Count(log, "redriven") != 1 || !strings.Contains(log, fmt.Sprintf("dead_letter=%d actor=1 ", id)) {
		t.Errorf("the log does not say once who redrove it: %s", log)
	}
}

func TestADeletedLetterIsGone(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.bury(t, letter("{}"))
	id := int64(d.letters(t)[0]["id"].(float64))
	where := fmt.Sprintf("/admin/dead-letters/%d", id)
	if a := d.Call(t, "DELETE", where, d.manager, ""); a.Status != 204 || len(d.letters(t)) != 0 {
		t.Errorf("delete: %d %s", a.Status, a.Body)
	}
	if a := d.Call(t, "DELETE", where, d.manager, ""); a.Status != 404 || a.Code() != "dead_letter_not_found" {
		t.Errorf("again: %d %s", a.Status, a.Body)
	}
	if log := d.log.String(); !strings.Contains(log, "deleted") || !strings.Contains(log, fmt.Sprintf("dead_letter=%d actor=1 ", id)) {
		t.Errorf("the log does not say who deleted it: %s", log)
	}
	if n, err := d.store.CountLetters(t.Context()); n != 0 || err != nil {
		t.Errorf("%d letters are counted (%v), want 0", n, err)
	}
}

func TestManagersSeeTheSalesOfAll(t *testing.T) {
	t.Parallel()
	d := open(t)
	first := d.place(t, order)
	d.hear(t, reserved(first))
	d.place(t, order)
	if a := d.Call(t, "POST", "/sales", d.bob, order); a.Status != 202 {
		t.Fatalf("bob's order: %d", a.Status)
	}
	for query, want := range map[string]int{
		"": 3, "?status=Pending": 2, "?status=Confirmed": 1, "?customerId=5": 2, "?customerId=5&status=Pending": 1, "?customerId=99": 0,
	} {
		if got := d.Call(t, "GET", "/admin/sales"+query, d.manager, "").JSON(t)["items"].([]any); len(got) != want {
			t.Errorf("%q: %d sales, want %d", query, len(got), want)
		}
	}
	page := d.Call(t, "GET", "/admin/sales?limit=2", d.manager, "").JSON(t)
	next := page["nextCursor"].(string)
	if rest := d.Call(t, "GET", "/admin/sales?limit=2&cursor="+next, d.manager, "").JSON(t); len(rest["items"].([]any)) != 1 || rest["nextCursor"] != nil {
		t.Errorf("the second page: %v", rest)
	}
	for query, location := range map[string]string{"customerId=5&cursor=" + next: "query.cursor", "customerId=0": "query.customerId", "status=x": "query.status"} {
		if a := d.Call(t, "GET", "/admin/sales?"+query, d.manager, ""); a.Status != 422 || a.Locations() != location {
			t.Errorf("?%s: %d naming %q, want 422 naming %q", query, a.Status, a.Locations(), location)
		}
	}
	if a := d.Call(t, "GET", "/admin/sales", d.ann, ""); a.Status != 403 {
		t.Errorf("a client lists them: %d, want 403", a.Status)
	}
}

func TestWithoutADatabaseNothingIsRedriven(t *testing.T) {
	t.Parallel()
	d := over(t, "nobody:secret@tcp(127.0.0.1:1)/none")
	for _, call := range [][2]string{{"GET", "/admin/sales"}, {"GET", "/admin/dead-letters"}, {"POST", "/admin/dead-letters/1/redrive"}, {"DELETE", "/admin/dead-letters/1"}} {
		if a := d.Call(t, call[0], call[1], d.manager, ""); a.Status != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d, want 503 with Retry-After", call[0], call[1], a.Status)
		}
	}
	if err := d.store.KeepLetter(t.Context(), letter("{}")); !database.IsUnavailable(err) {
		t.Errorf("keep a letter: %v, which does not say that it is worth waiting", err)
	}
}
