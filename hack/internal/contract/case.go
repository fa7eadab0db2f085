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

// row is a case of a row of the contract: a call that gets a status.
type row struct {
	op      string // such as "POST /auth/login"
	status  int
	variant string
	needs   []need
	call    func(w *world) call
	checks  []check
}

func (r row) name() string {
	return strings.TrimSpace(r.op + "/" + strconv.Itoa(r.status) + " " + r.variant)
}

// need is something that not every target has.
type need func(Target) string

// has says whether a case can be tried at a target. One that cannot is left out: it is
// proved at the target of hack/contract, which has everything.
func (s *suite) has(t *testing.T, what string, needs ...need) bool {
	t.Helper()
	for _, n := range needs {
		if lack := n(s.Target); lack != "" {
			t.Logf("left out: %s: %s", what, lack)
			return false
		}
	}
	return true
}

func addresses(t Target) string {
	return unless(t.Forwarded, "the rate limit of this address is shared")
}
func keys(t Target) string      { return unless(t.Keys != nil, "no key to sign tokens with") }
func breakable(t Target) string { return unless(t.Faults != nil, "nothing can be taken away here") }
func shortHold(t Target) string { return unless(t.HoldTTL > 0, "held sales last too long to wait for") }
func scripts(t Target) string   { return unless(t.Origin != "", "no web origin is allowed") }

func unless(ok bool, lack string) string {
	if ok {
		return ""
	}
	return lack
}

// call is a request.
type call struct {
	as *session // nil is anyone
	// args are for the braces of the path.
	args   []any
	query  string
	body   any      // sent as JSON
	raw    string   // sent as it is in place of body
	header []string // pairs of a name and a value
}

// check of an answer, beside the conventions and the document.
type check func(w *world, a *answer)

// on puts the rows of one operation together.
func on(op string, rows ...row) []row {
	for i := range rows {
		rows[i].op = op
	}
	return rows
}

// gets is a row of which on fills in the operation.
func gets(status int, variant string, call func(w *world) call, checks ...check) row {
	return row{status: status, variant: variant, call: call, checks: checks}
}

// needing is a row for targets that have something.
func (r row) needing(n ...need) row {
	r.needs = append(slices.Clone(r.needs), n...)
	return r
}

// run proves a row.
func (s *suite) run(t *testing.T, r row) {
	w := s.world(t)
	w.judge(r, w.send(r.op, r.call(w)))
}

// judge compares an answer with its row.
func (w *world) judge(r row, a *answer) {
	w.t.Helper()
	if a.status != r.status {
		w.t.Fatalf("%s: %d, want %d\n%s", r.name(), a.status, r.status, shorten(a.body))
	}
	for _, c := range r.checks {
		c(w, a)
	}
	if !w.t.Failed() {
		w.coverage.saw(r.op, r.status)
	}
}

// answer to a call.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// into decodes the body.
func (a *answer) into(w *world, v any) {
	w.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		w.t.Fatalf("decode %s: %v", shorten(a.body), err)
	}
}

// field gives a member of a JSON object as it prints, "" when it is absent.
func (a *answer) field(w *world, name string) string {
	w.t.Helper()
	var object map[string]json.RawMessage
	a.into(w, &object)
	return strings.Trim(string(object[name]), `"`)
}

// path fills the braces of an operation's path.
func path(op string, args []any) (method, filled string) {
	method, template, _ := strings.Cut(op, " ")
	segments := strings.Split(template, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") && len(args) > 0 {
			segments[i], args = fmt.Sprint(args[0]), args[1:]
		}
	}
	return method, strings.Join(segments, "/")
}
