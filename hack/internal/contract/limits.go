package contract

import (
	"context"
	"net/http"
	"sync"
	"testing"
)

// limits proves for every operation that too many calls get 429. Each class of the
// rate limit is kept exhausted while the operations that it holds are called.
func (s *suite) limits(t *testing.T) {
	w := s.world(t)
	w.ctx = impolitely(w.ctx)
	ctx, stop := context.WithCancel(w.ctx)
	var floods sync.WaitGroup
	client, manager := w.minted(nowhere+1, "Client"), w.minted(nowhere+2, "Manager")
	for _, as := range []*session{nil, client, manager} {
		for range 2 {
			floods.Go(func() { w.flood(ctx, as) })
		}
	}
	defer floods.Wait()
	defer stop()
	for _, name := range s.document.Names() {
		op := s.document.Operations[name]
		r := on(name, gets(http.StatusTooManyRequests, "rate_limited", nil, code("rate_limited"), header("RateLimit-Remaining", "0")))[0]
		t.Run(r.name(), func(t *testing.T) {
			w := &world{suite: s, t: t, ctx: impolitely(within(t.Context(), t)), address: w.address}
			c := call{as: client, args: placeholders(op, nowhere)}
			switch s.fitting(op) {
			case nil:
				c.as = nil
			case s.manager:
				c.as = manager
			}
			if op.RequestBody != nil && op.RequestBody.Required {
				c.raw = "{}"
			}
			w.judge(r, w.refused(op, c))
		})
	}
}

// refused calls until a call is one too many.
func (w *world) refused(op *Operation, c call) *answer {
	w.t.Helper()
	var last *answer
	w.until("a call is refused", func() bool {
		for range 100 {
			if last = w.send(op.Name, c); last.status == http.StatusTooManyRequests {
				return true
			}
		}
		return false
	})
	return last
}

// flood keeps a caller at its limit, with calls that cost the store nothing.
func (w *world) flood(ctx context.Context, as *session) {
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
			_ = res.Body.Close() // only the count matters
		}
	}
}
