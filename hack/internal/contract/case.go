package contract

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// testCase is a request and the status that it must return.
type testCase struct {
	op      string // such as "POST /auth/login"
	status  int
	variant string
	needs   []requirement
	call    func(w *testContext) call
	checks  []check
}

func (r testCase) name() string {
	return strings.TrimSpace(r.op + "/" + strconv.Itoa(r.status) + " " + r.variant)
}

// requirement returns why a target does not support a case, or "".
type requirement func(Target) string

// supports reports whether the target meets the requirements of a case. The target of
// hack/contract meets all.
func (s *suite) supports(t *testing.T, what string, needs ...requirement) bool {
	t.Helper()
	for _, n := range needs {
		if lack := n(s.Target); lack != "" {
			t.Logf("skipped: %s: %s", what, lack)
			return false
		}
	}
	return true
}

func ownAddress(t Target) string {
	return reasonUnless(t.TrustsForwardedFor, "requests share one address and its rate limit")
}
func signingKeys(t Target) string { return reasonUnless(t.Keys != nil, "no key to sign tokens") }
func faultInjection(t Target) string {
	return reasonUnless(t.Faults != nil, "faults cannot be injected")
}
func shortHold(t Target) string {
	return reasonUnless(t.HoldTTL > 0, "holds expire too late to wait for")
}
func webOrigin(t Target) string { return reasonUnless(t.Origin != "", "no allowed web origin") }

func reasonUnless(ok bool, lack string) string {
	if ok {
		return ""
	}
	return lack
}

// call is a request.
type call struct {
	as *session // nil sends no token
	// args are the values of the path parameters.
	args   []any
	query  string
	body   any      // sent as JSON
	raw    string   // the body if body is nil
	header []string // pairs of a name and a value
}

// check is a check of a response, in addition to the conventions and the document.
type check func(w *testContext, a *response)

// operation sets the operation of the cases and returns them.
func operation(op string, cases ...testCase) []testCase {
	for i := range cases {
		cases[i].op = op
	}
	return cases
}

// expect returns a case whose operation is set by operation.
func expect(status int, variant string, call func(w *testContext) call, checks ...check) testCase {
	return testCase{status: status, variant: variant, call: call, checks: checks}
}

// requiring returns the case with additional requirements.
func (r testCase) requiring(n ...requirement) testCase {
	r.needs = append(slices.Clone(r.needs), n...)
	return r
}

// run runs a case.
func (s *suite) run(t *testing.T, r testCase) {
	w := s.newContext(t)
	w.checkResponse(r, w.send(r.op, r.call(w)))
}

// checkResponse compares a response with its case.
func (w *testContext) checkResponse(r testCase, a *response) {
	w.t.Helper()
	if a.status != r.status {
		w.t.Fatalf("%s: %d, want %d\n%s", r.name(), a.status, r.status, truncate(a.body))
	}
	for _, c := range r.checks {
		c(w, a)
	}
	if !w.t.Failed() {
		w.coverage.record(r.op, r.status)
	}
}

// response is the response to a call.
type response struct {
	status int
	header http.Header
	body   []byte
}

// into decodes the JSON body into v.
func (a *response) into(w *testContext, v any) {
	w.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		w.t.Fatalf("decode %s: %v", truncate(a.body), err)
	}
}

// field returns a member of the JSON object in the body as text, or "" if it is absent.
func (a *response) field(w *testContext, name string) string {
	w.t.Helper()
	var object map[string]json.RawMessage
	a.into(w, &object)
	return strings.Trim(string(object[name]), `"`)
}

// resolvePath returns the method of an operation, and its path with args as the path
// parameters.
func resolvePath(op string, args []any) (method, filled string) {
	method, template, _ := strings.Cut(op, " ")
	segments := strings.Split(template, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") && len(args) > 0 {
			segments[i], args = fmt.Sprint(args[0]), args[1:]
		}
	}
	return method, strings.Join(segments, "/")
}
