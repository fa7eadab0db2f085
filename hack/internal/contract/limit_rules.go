package contract

import (
	"context"
	"net/http"
	"strconv"
)

// Limits that a caller has unless they are configured.
const (
	burst       = 200
	loginBurst  = 60
	mostStreams = 8
)

// limitRules hold for how often one may call.
func limitRules() []rule {
	return []rule{
		{"limits/every answer tells what is left", []need{addresses}, func(w *world) {
			first, second := w.send("GET /products", call{}), w.send("GET /products", call{})
			header("RateLimit-Limit", strconv.Itoa(burst))(w, first)
			left := func(a *answer) int { n, _ := strconv.Atoi(a.header.Get("RateLimit-Remaining")); return n }
			if left(first) != burst-1 || left(second) > burst-1 {
				w.t.Errorf("%d are left after one call, and %d after two", left(first), left(second))
			}
			header("RateLimit-Limit", strconv.Itoa(loginBurst))(w, w.elsewhere().send("POST /auth/refresh", call{raw: "{}"}))
		}},
		{"limits/logins of an address", []need{addresses}, func(w *world) {
			w.ctx = impolitely(w.ctx)
			for range loginBurst {
				w.must("POST /auth/refresh", http.StatusUnprocessableEntity, call{raw: "{}"})
			}
			for _, op := range []string{"POST /auth/refresh", "POST /auth/login", "POST /auth/register/user"} {
				w.until(op+" is refused", func() bool {
					return w.send(op, call{raw: "{}"}).status == http.StatusTooManyRequests
				})
			}
			w.must("GET /products", http.StatusOK, call{query: "limit=1"})
			w.elsewhere().must("POST /auth/login", http.StatusOK, call{body: w.ann.credentials()})
		}},
		{"limits/a user's calls are counted wherever they come from", []need{addresses, keys}, func(w *world) {
			as := w.minted(nowhere+3, "Client")
			// A call comes back within milliseconds: the two have to be close together.
			w.until("a user has fewer calls left at another address", func() bool {
				w.send("GET /sales", call{as: as})
				a := w.elsewhere().send("GET /sales", call{as: as})
				return a.header.Get("RateLimit-Remaining") != strconv.Itoa(burst-1)
			})
		}},
		{"limits/long calls at once", []need{addresses}, longCalls},
	}
}

// longCalls holds as many streams as one may, and asks for one more.
func longCalls(w *world) {
	as := w.newcomer()
	made := w.place(as, held(line{ProductID: w.product(5).ID, Quantity: 1}))
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	path := "/sales/" + itoa(made.ID) + "/stream"
	for range mostStreams {
		res := w.open(ctx, w.URL, http.MethodGet, path, call{as: as})
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			w.t.Fatalf("a stream: %s, want %d at once", res.Status, mostStreams)
		}
	}
	a := w.must("GET /sales/{id}/stream", http.StatusTooManyRequests, call{as: as, args: []any{made.ID}})
	code("too_many_streams")(w, a)
	w.must("GET /sales/{id}", http.StatusOK, call{as: as, args: []any{made.ID}})
}
