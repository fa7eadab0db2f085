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

// testContext is the context of one case, which has its own client address.
type testContext struct {
	*suite
	t       *testing.T
	ctx     context.Context
	address string
	// lastUser is the last user that newLastUser created.
	lastUser *session
}

// addressCount is the number of addresses that were assigned to cases.
var addressCount atomic.Uint32

func (s *suite) newContext(t *testing.T) *testContext {
	n := addressCount.Add(1)
	// Addresses that are reserved for benchmarks (RFC 2544).
	return &testContext{suite: s, t: t, ctx: withTest(t.Context(), t), address: fmt.Sprintf("198.18.%d.%d", n>>8&255, n&255)}
}

// withOtherAddress returns the context with another client address.
func (w *testContext) withOtherAddress() *testContext {
	other := w.newContext(w.t)
	other.ctx = w.ctx
	return other
}

// send calls an operation at the gateway.
func (w *testContext) send(op string, c call) *response {
	w.t.Helper()
	method, filled := resolvePath(op, c.args)
	return w.fetch(w.URL, method, filled, c)
}

// fetch sends a request to a base URL and reads the response.
func (w *testContext) fetch(base, method, path string, c call) *response {
	w.t.Helper()
	res := w.open(w.ctx, base, method, path, c)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return &response{status: res.StatusCode, header: res.Header, body: body}
}

// open sends a request and returns the response, which may be a stream.
func (w *testContext) open(ctx context.Context, base, method, path string, c call) *http.Response {
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

func (w *testContext) request(ctx context.Context, base, method, path string, c call) (*http.Request, error) {
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
	if w.TrustsForwardedFor {
		req.Header.Set("X-Forwarded-For", w.address)
	}
	for i := 0; i+1 < len(c.header); i += 2 {
		req.Header.Set(c.header[i], c.header[i+1])
	}
	return req, nil
}

// must is send, but fails the test if the status is another one.
func (w *testContext) must(op string, status int, c call) *response {
	w.t.Helper()
	a := w.send(op, c)
	if a.status != status {
		w.t.Fatalf("%s: %d, want %d\n%s", op, a.status, status, truncate(a.body))
	}
	return a
}

// waitTimeout is the time limit for asynchronous changes, such as a reservation.
const waitTimeout = 20 * time.Second

// pollInterval is the interval between two checks of waitUntil.
const pollInterval = 10 * time.Millisecond

// waitUntil waits until holds returns true. what describes the condition.
func (w *testContext) waitUntil(what string, holds func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, waitTimeout)
	defer cancel()
	for !holds() {
		if sleep(ctx, pollInterval) != nil {
			w.t.Fatalf("timeout after %s: %s", waitTimeout, what)
		}
	}
}

// unique returns a random word.
func unique() string { return strings.ToLower(rand.Text()[:12]) }
