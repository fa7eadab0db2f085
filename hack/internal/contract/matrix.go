package contract

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// attempt is a kind of caller and the expected response.
type attempt struct {
	name   string
	header string // Authorization; "" sends none
	// status is the expected status; 0 is the status for a permitted caller.
	status int
	code   string
}

// Matrix calls every operation of the document as every kind of caller, through the
// gateway and, if Services is set, directly. It requires Keys.
func Matrix(t *testing.T, target Target) {
	t.Helper()
	s := newSuite(t, target)
	if !s.supports(t, "the matrix", signingKeys) {
		t.Fatal("Target.Keys is required")
	}
	baseURLs := map[string]func(op *Operation) string{"gateway": func(*Operation) string { return target.URL }}
	if target.Services != nil {
		baseURLs["service"] = func(op *Operation) string { return target.Services[op.Service()] }
	}
	s.revoked = s.revokeTokens(t)
	attempts := 0
	for _, name := range s.document.Names() {
		op := s.document.Operations[name]
		for _, via := range slices.Sorted(maps.Keys(baseURLs)) {
			t.Run(name+" via the "+via, func(t *testing.T) { attempts += s.tryAll(t, op, baseURLs[via](op)) })
		}
	}
	t.Logf("matrix: %d operations, %d attempts", len(s.document.Operations), attempts)
}

// tryAll makes every attempt at one operation and returns their number.
func (s *suite) tryAll(t *testing.T, op *Operation, base string) int {
	w := s.newContext(t)
	all := s.attempts(w, op)
	for _, a := range all {
		// Different addresses, because rejected requests count for the rate limit.
		s.attempt(w.withOtherAddress(), op, base, a, placeholders(op, unknownID))
	}
	if !isOwned(op) {
		return len(all)
	}
	theirs := s.newSaleOfAnn(w)
	s.attempt(w, op, base, attempt{"another user", "Bearer " + s.bob.access, http.StatusNotFound, "sale_not_found"}, []any{theirs})
	return len(all) + 1
}

func (s *suite) attempt(w *testContext, op *Operation, base string, a attempt, args []any) {
	w.t.Helper()
	c := call{args: args}
	if a.header != "" {
		c.header = []string{"Authorization", a.header}
	}
	want := a.status
	if want == 0 {
		want = permittedStatus(op)
	}
	if op.RequestBody != nil && op.RequestBody.Required {
		c.raw = "[]" // Every body is an object.
	}
	method, filled := resolvePath(op.Name, args)
	got := w.fetch(base, method, filled, c)
	if got.status != want {
		w.t.Errorf("%s with %s: %d, want %d\n%s", op.Name, a.name, got.status, want, truncate(got.body))
		return
	}
	if a.code != "" {
		hasCode(a.code)(w, got)
	}
}

// attempts returns all kinds of callers. Access is checked before anything else in a
// request.
func (s *suite) attempts(w *testContext, op *Operation) []attempt {
	right, user := op.Roles, map[string]*session{"Client": s.ann, "Manager": s.manager}
	if len(right) == 0 {
		right = []string{"Client", "Manager"}
	}
	holder := user[right[0]]
	none, bad := http.StatusUnauthorized, "invalid_token"
	if op.Public() {
		none, bad = 0, "" // tokens are ignored
	}
	first := ""
	if !op.Public() {
		first = "unauthenticated"
	}
	all := []attempt{{"no token", "", none, first}}
	for what, token := range s.Keys.invalidTokens(holder.id, right[0]) {
		all = append(all, attempt{what, "Bearer " + token, none, bad})
	}
	good := w.signedSession(holder.id, right[0]).access
	for what, header := range map[string]string{"Basic": "Basic " + good, "no scheme": good, "an empty token": "Bearer "} {
		all = append(all, attempt{what, header, none, bad})
	}
	for role, as := range user {
		a := attempt{"role " + role, "Bearer " + as.access, 0, ""}
		if !op.Public() && !slices.Contains(right, role) {
			a.status, a.code = http.StatusForbidden, "forbidden"
		}
		all = append(all, a, attempt{"signed token with role " + role, "Bearer " + w.signedSession(as.id, role).access, a.status, a.code})
	}
	if op.Public() {
		return all
	}
	for _, r := range s.revoked[right[0]] {
		if !op.isWrite() {
			r.status, r.code = 0, ""
		}
		all = append(all, r)
	}
	return all
}

// isWrite reports whether the operation may change something.
func (o *Operation) isWrite() bool { return !strings.HasPrefix(o.Name, http.MethodGet+" ") }

// revokeTokens revokes tokens in each way, and returns by role what writes with them must return. It
// waits until every service refuses them.
func (s *suite) revokeTokens(t *testing.T) map[string][]attempt {
	t.Helper()
	w := s.newContext(t)
	revoked := map[string][]attempt{}
	for role, create := range map[string]func() *session{"Client": w.newLastUser, "Manager": w.newManager} {
		disabled, enabled := create(), create()
		w.setDisabled(disabled, true)
		w.setDisabled(enabled, true)
		w.setDisabled(enabled, false)
		revoked[role] = []attempt{
			{"the token of a disabled account", "Bearer " + disabled.access, http.StatusForbidden, "account_disabled"},
			{"a token of before the account was disabled and enabled", "Bearer " + enabled.access, http.StatusUnauthorized, "invalid_token"},
		}
	}
	waited := map[string]bool{}
	for _, name := range s.document.Names() {
		op := s.document.Operations[name]
		if op.Public() || !op.isWrite() || len(op.Roles) != 1 || waited[op.Service()+op.Roles[0]] {
			continue
		}
		waited[op.Service()+op.Roles[0]] = true
		for _, r := range revoked[op.Roles[0]] {
			method, path := resolvePath(op.Name, placeholders(op, unknownID))
			w.waitUntil(op.Service()+" refuses "+r.name, func() bool {
				return w.fetch(s.URL, method, path, call{raw: "{}", header: []string{"Authorization", r.header}}).status == r.status
			})
		}
	}
	return revoked
}

// permittedStatus returns the status of an operation for a permitted caller, an object
// that does not exist, and a body that is a list.
func permittedStatus(op *Operation) int {
	switch {
	case op.RequestBody != nil && op.RequestBody.Required:
		return http.StatusUnprocessableEntity
	case slices.ContainsFunc(op.pathParameters(), func(p Parameter) bool { return p.Name == "quantity" }):
		return http.StatusUnprocessableEntity // the placeholder exceeds the maximum quantity
	case len(op.pathParameters()) > 0:
		return http.StatusNotFound
	}
	return http.StatusOK
}

// isOwned reports whether the path identifies an object that belongs to a user.
func isOwned(op *Operation) bool { return strings.HasPrefix(op.Path, "/sales/{id}") }

// newSaleOfAnn creates a sale of ann and returns its ID.
func (s *suite) newSaleOfAnn(w *testContext) int64 {
	w.t.Helper()
	return w.place(s.ann, orderBody(line{ProductID: unknownID, Quantity: 1})).ID
}
