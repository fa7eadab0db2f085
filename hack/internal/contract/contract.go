// Package contract proves the REST contract of the store from outside: each row of
// it with a case for every status, the rules that hold for all rows, and who may do
// what.
//
// Whatever a case sends, the answer is checked by the store's own OpenAPI document
// and by the conventions of all answers. What the document says and no case saw is
// told by Coverage, so that document, code and cases stay one set.
package contract

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// Target is a running store. What it lacks of the optional parts, the cases that
// need them are left out.
type Target struct {
	// URL of the gateway.
	URL string
	// Services are the URLs of auth, sales and stock past the gateway; optional.
	Services map[string]string
	// ManagerEmail and ManagerPassword of a manager.
	ManagerEmail, ManagerPassword string
	// Keys sign tokens that the store believes; optional.
	Keys *Keys
	// Faults break the store; optional.
	Faults Faults
	// Forwarded says that the gateway believes an X-Forwarded-For from here: each case
	// then has an address of its own, and rate limits can be exhausted.
	Forwarded bool
	// HoldTTL is how long a held sale keeps its stock, if that is short enough to wait
	// for; optional.
	HoldTTL time.Duration
	// Origin is a web origin whose scripts may call; optional.
	Origin string
}

// Faults take away what the services need, and give it back.
type Faults interface {
	CutDatabase()
	MendDatabase() error
	CutBroker()
	MendBroker() error
	StopService(name string) error
	StartService(name string) error
	// Poison sends the services a message that none can handle.
	Poison(ctx context.Context, message string) error
}

// suite is what all cases of a run share.
type suite struct {
	Target
	http     *http.Client
	document *Document
	coverage *Coverage
	// manager, ann and bob have accounts. A case that changes an account makes its own.
	manager, ann, bob *session
}

// Run proves the contract of a store, and returns which documented answers it saw.
func Run(t *testing.T, target Target) *Coverage {
	t.Helper()
	s := newSuite(t, target)
	slow := s.slow(t)
	t.Run("rows", func(t *testing.T) {
		for _, c := range s.rows() {
			if s.has(t, c.name(), c.needs...) {
				t.Run(c.name(), func(t *testing.T) { t.Parallel(); s.run(t, c) })
			}
		}
	})
	t.Run("rules", func(t *testing.T) {
		for _, r := range rules() {
			if s.has(t, r.name, r.needs...) {
				t.Run(r.name, func(t *testing.T) { t.Parallel(); r.prove(s.world(t)) })
			}
		}
	})
	if s.has(t, "limits", addresses, keys) {
		t.Run("limits", s.limits)
	}
	t.Run("slow bodies", slow)
	if s.has(t, "faults", breakable) {
		t.Run("faults", s.faults)
	}
	return s.coverage
}

// newSuite reads the document and makes the accounts.
func newSuite(t *testing.T, target Target) *suite {
	t.Helper()
	s := &suite{Target: target}
	s.document = fetchDocument(t, target.URL+"/openapi.json")
	s.coverage = newCoverage(s.document)
	s.http = &http.Client{Timeout: time.Minute, Transport: &checker{gateway: target.URL, document: s.document, next: http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w := s.world(t)
	s.manager = w.login(account{email: target.ManagerEmail, password: target.ManagerPassword})
	for name, to := range map[string]**session{"ann": &s.ann, "bob": &s.bob} {
		a := newAccount(name)
		w.register(a)
		*to = w.login(a)
	}
	return s
}
