package contract

import (
	"context"
	"net/http"
	"sync"
	"testing"
)

// checkLimits checks for every operation that too many requests return 429. It keeps
// each class of the rate limit exhausted while it calls the operations of the class.
func (s *suite) checkLimits(t *testing.T) {
	w := s.newContext(t)
	w.ctx = withoutRetry(w.ctx)
	ctx, stop := context.WithCancel(w.ctx)
	var floods sync.WaitGroup
	client, manager := w.signedSession(unknownID+1, "Client"), w.signedSession(unknownID+2, "Manager")
	for _, as := range []*session{nil, client, manager} {
		for range 2 {
			floods.Go(func() { w.exhaustLimit(ctx, as) })
		}
	}
	defer floods.Wait()
	defer stop()
	for _, name := range s.document.Names() {
		op := s.document.Operations[name]
		r := operation(name, expect(http.StatusTooManyRequests, "rate_limited", nil, hasCode("rate_limited"), hasHeader("RateLimit-Remaining", "0")))[0]
		t.Run(r.name(), func(t *testing.T) {
			w := &testContext{suite: s, t: t, ctx: withoutRetry(withTest(t.Context(), t)), address: w.address}
			c := call{as: client, args: placeholders(op, unknownID)}
			switch s.permittedUser(op) {
			case nil:
				c.as = nil
			case s.manager:
				c.as = manager
			}
			if op.RequestBody != nil && op.RequestBody.Required {
				c.raw = "{}"
			}
			w.checkResponse(r, w.waitUntilLimited(op, c))
		})
	}
}

// waitUntilLimited repeats a call until it returns 429.
func (w *testContext) waitUntilLimited(op *Operation, c call) *response {
	w.t.Helper()
	var last *response
	w.waitUntil("a request is limited", func() bool {
		for range 100 {
			if last = w.send(op.Name, c); last.status == http.StatusTooManyRequests {
				return true
			}
		}
		return false
	})
	return last
}

// exhaustLimit sends inexpensive requests of a user until ctx is canceled.
func (w *testContext) exhaustLimit(ctx context.Context, as *session) {
	for ctx.Err() == nil {
		path := "/nothing"
		if as != nil {
			path = "/auth/me"
		}
		req, err := w.request(ctx, w.URL, http.MethodGet, path, call{as: as})
		if err != nil {
			return
		}
		if res, err := w.http.Transport.(*checker).next.RoundTrip(req); err == nil {
			_ = res.Body.Close() // only the number of requests matters
		}
	}
}
