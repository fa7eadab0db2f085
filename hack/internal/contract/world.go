package contract

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// world is what one case sees: the store, from an address of its own.
type world struct {
	*suite
	t       *testing.T
	ctx     context.Context
	address string
	// last newcomer that a call made.
	last *session
}

// addressesGiven counts the addresses of all worlds.
var addressesGiven atomic.Uint32

func (s *suite) world(t *testing.T) *world {
	n := addressesGiven.Add(1)
	// Addresses for documentation and benchmarks (RFC 2544).
	return &world{suite: s, t: t, ctx: within(t.Context(), t), address: fmt.Sprintf("198.18.%d.%d", n>>8&255, n&255)}
}

// elsewhere is the same case from another address.
func (w *world) elsewhere() *world {
	other := w.world(w.t)
	other.ctx = w.ctx
	return other
}

// send makes a call of an operation.
func (w *world) send(op string, c call) *answer {
	w.t.Helper()
	method, filled := path(op, c.args)
	return w.fetch(w.URL, method, filled, c)
}

// fetch makes a call at a base URL.
func (w *world) fetch(base, method, path string, c call) *answer {
	w.t.Helper()
	res := w.open(w.ctx, base, method, path, c)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return &answer{status: res.StatusCode, header: res.Header, body: body}
}

// open makes a call whose answer may be a stream.
func (w *world) open(ctx context.Context, base, method, path string, c call) *http.Response {
	w.t.Helper()
	req, err := w.request(ctx, base, method, path, c)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

func (w *world) request(ctx context.Context, base, method, path string, c call) (*http.Request, error) {
	content := []byte(c.raw)
	if c.body != nil {
		var err error
		if content, err = json.Marshal(c.body); err != nil {
			return nil, err
		}
	}
	url := base + path
	if c.query != "" {
		url += "?" + c.query
	}
	var body io.Reader
	if len(content) > 0 {
		body = bytes.NewReader(content)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.as != nil {
		req.Header.Set("Authorization", "Bearer "+c.as.access)
	}
	if w.Forwarded {
		req.Header.Set("X-Forwarded-For", w.address)
	}
	for i := 0; i+1 < len(c.header); i += 2 {
		req.Header.Set(c.header[i], c.header[i+1])
	}
	return req, nil
}

// must is send where only one answer lets the case go on.
func (w *world) must(op string, status int, c call) *answer {
	w.t.Helper()
	a := w.send(op, c)
	if a.status != status {
		w.t.Fatalf("%s: %d, want %d\n%s", op, a.status, status, shorten(a.body))
	}
	return a
}

// patience for what happens on its own, such as a reservation.
const patience = 20 * time.Second

// lookInterval between two looks of until.
const lookInterval = 10 * time.Millisecond

// until waits for what happens on its own.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	for !holds() {
		if pause(ctx, lookInterval) != nil {
			w.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// unique is a word that no other case uses.
func unique() string { return strings.ToLower(rand.Text()[:12]) }
