package contract

import (
	"context"
	"net/http"
	"strconv"
)

// Default limits of the gateway.
const (
	burst      = 200
	loginBurst = 60
	maxStreams = 8
)

// limitRules returns the rules of rate and concurrency limits.
func limitRules() []rule {
	return []rule{
		{"limits/every response has the remaining requests", []requirement{ownAddress}, func(w *testContext) {
			first, second := w.send("GET /products", call{}), w.send("GET /products", call{})
			hasHeader("RateLimit-Limit", strconv.Itoa(burst))(w, first)
			left := func(a *response) int { n, _ := strconv.Atoi(a.header.Get("RateLimit-Remaining")); return n }
			if left(first) != burst-1 || left(second) > burst-1 {
				w.t.Errorf("%d remaining after one request, and %d after two", left(first), left(second))
			}
			hasHeader("RateLimit-Limit", strconv.Itoa(loginBurst))(w, w.withOtherAddress().send("POST /auth/refresh", call{raw: "{}"}))
		}},
		{"limits/logins of an address", []requirement{ownAddress}, func(w *testContext) {
			w.ctx = withoutRetry(w.ctx)
			for range loginBurst {
				w.must("POST /auth/refresh", http.StatusUnprocessableEntity, call{raw: "{}"})
			}
			for _, op := range []string{"POST /auth/refresh", "POST /auth/login", "POST /auth/register/user"} {
				w.waitUntil(op+" is limited", func() bool {
					return w.send(op, call{raw: "{}"}).status == http.StatusTooManyRequests
				})
			}
			w.must("GET /products", http.StatusOK, call{query: "limit=1"})
			w.withOtherAddress().must("POST /auth/login", http.StatusOK, call{body: w.ann.credentials()})
		}},
		{"limits/requests of a user are counted across addresses", []requirement{ownAddress, signingKeys}, func(w *testContext) {
			as := w.signedSession(unknownID+3, "Client")
			// Tokens are refilled within milliseconds, so two requests may be too far apart.
			w.waitUntil("a user has fewer remaining requests at another address", func() bool {
				w.send("GET /sales", call{as: as})
				a := w.withOtherAddress().send("GET /sales", call{as: as})
				return a.header.Get("RateLimit-Remaining") != strconv.Itoa(burst-1)
			})
		}},
		{"limits/concurrent streams", []requirement{ownAddress}, concurrentStreams},
	}
}

// concurrentStreams opens as many streams as allowed, and one more.
func concurrentStreams(w *testContext) {
	as := w.newUser()
	created := w.place(as, holdBody(line{ProductID: w.newProduct(5).ID, Quantity: 1}))
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	path := "/sales/" + itoa(created.ID) + "/stream"
	for range maxStreams {
		res := w.open(ctx, w.URL, http.MethodGet, path, call{as: as})
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			w.t.Fatalf("open a stream: %s, want %d concurrent streams", res.Status, maxStreams)
		}
	}
	a := w.must("GET /sales/{id}/stream", http.StatusTooManyRequests, call{as: as, args: []any{created.ID}})
	hasCode("too_many_streams")(w, a)
	w.must("GET /sales/{id}", http.StatusOK, call{as: as, args: []any{created.ID}})
}
