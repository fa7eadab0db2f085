// Package contract tests the REST contract of a running system over HTTP: a case for
// every status of every operation, rules across operations, and access control.
//
// Every response is checked against the system's OpenAPI document and the conventions
// for all responses. Coverage lists the documented responses that no case returned, so
// that document, code and cases agree.
package contract

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// Target is the system under test. Cases that require an optional field that is not
// set are skipped.
type Target struct {
	// URL is the base URL of the gateway.
	URL string
	// Services are the base URLs of auth, sales and stock by name; optional.
	Services map[string]string
	// ManagerEmail and ManagerPassword are the credentials of a manager.
	ManagerEmail, ManagerPassword string
	// Keys sign access tokens that the system accepts; optional.
	Keys *Keys
	// Faults inject faults; optional.
	Faults Faults
	// TrustsForwardedFor reports whether the gateway trusts X-Forwarded-For from this
	// process. Then each case has a different address and can exhaust rate limits.
	TrustsForwardedFor bool
	// HoldTTL is the lifetime of a hold, if it is short enough to wait for; optional.
	HoldTTL time.Duration
	// Origin is an allowed web origin; optional.
	Origin string
}

// Faults interrupts and restores the dependencies of the services.
type Faults interface {
	// DisconnectDatabase and ReconnectDatabase interrupt and restore the connections to
	// the database.
	DisconnectDatabase()
	ReconnectDatabase() error
	// DisconnectBroker and ReconnectBroker interrupt and restore the connections to the
	// broker.
	DisconnectBroker()
	ReconnectBroker() error
	// StopService and StartService stop a service, and start it and wait until it is
	// ready.
	StopService(name string) error
	StartService(name string) error
	// PublishInvalid publishes a message that no service can handle.
	PublishInvalid(ctx context.Context, message string) error
}

// suite is the state that all cases of a run share.
type suite struct {
	Target
	http     *http.Client
	document *Document
	coverage *Coverage
	// manager, ann and bob are users. A case that changes an account creates its own.
	manager, ann, bob *session
	// revoked are the revoked tokens of Matrix by the role of their users.
	revoked map[string][]attempt
}

// Run tests the contract of a target and returns the coverage of its document.
func Run(t *testing.T, target Target) *Coverage {
	t.Helper()
	s := newSuite(t, target)
	slow := s.startSlowRequests(t)
	t.Run("cases", func(t *testing.T) {
		for _, c := range s.cases() {
			if s.supports(t, c.name(), c.needs...) {
				t.Run(c.name(), func(t *testing.T) { t.Parallel(); s.run(t, c) })
			}
		}
	})
	t.Run("rules", func(t *testing.T) {
		for _, r := range rules() {
			if s.supports(t, r.name, r.needs...) {
				t.Run(r.name, func(t *testing.T) { t.Parallel(); r.test(s.newContext(t)) })
			}
		}
	})
	if s.supports(t, "limits", ownAddress, signingKeys) {
		t.Run("limits", s.checkLimits)
	}
	t.Run("slow bodies", slow)
	if s.supports(t, "faults", faultInjection) {
		t.Run("faults", s.checkFaults)
	}
	return s.coverage
}

// newSuite reads the document and creates the users.
func newSuite(t *testing.T, target Target) *suite {
	t.Helper()
	s := &suite{Target: target}
	s.document = fetchDocument(t, target.URL+"/openapi.json")
	s.coverage = newCoverage(s.document)
	s.http = &http.Client{Timeout: time.Minute, Transport: &checker{gateway: target.URL, document: s.document, next: http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w := s.newContext(t)
	s.manager = w.login(account{email: target.ManagerEmail, password: target.ManagerPassword})
	for name, to := range map[string]**session{"ann": &s.ann, "bob": &s.bob} {
		a := newAccount(name)
		w.register(a)
		*to = w.login(a)
	}
	return s
}
