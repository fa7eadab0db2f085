package contract

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// attempt to call an operation.
type attempt struct {
	name   string
	header string // of Authorization; none when empty
	// status that it gets; 0 is what the operation gives to whoever may call.
	status int
	code   string
}

// Matrix tries every operation of the document with every kind of caller, through
// the gateway and past it. It needs Keys, and Services for the second.
func Matrix(t *testing.T, target Target) {
	t.Helper()
	s := newSuite(t, target)
	if !s.has(t, "the matrix", keys) {
		t.Fatal("nothing can be tried")
	}
	doors := map[string]func(op *Operation) string{"gateway": func(*Operation) string { return target.URL }}
	if target.Services != nil {
		doors["service"] = func(op *Operation) string { return target.Services[op.Service()] }
	}
	attempts := 0
	for _, name := range s.document.Names() {
		op := s.document.Operations[name]
		for _, door := range slices.Sorted(maps.Keys(doors)) {
			t.Run(name+" at the "+door, func(t *testing.T) { attempts += s.try(t, op, doors[door](op)) })
		}
	}
	t.Logf("matrix: %d operations, %d attempts", len(s.document.Operations), attempts)
}

// try makes every attempt at one operation, and says how many.
func (s *suite) try(t *testing.T, op *Operation, base string) int {
	w := s.world(t)
	all := s.attempts(w, op)
	for _, a := range all {
		// Each from another address: refused calls are counted, too.
		s.attempt(w.elsewhere(), op, base, a, placeholders(op, nowhere))
	}
	if !owned(op) {
		return len(all)
	}
	theirs := s.annsSale(w)
	s.attempt(w, op, base, attempt{"another's", "Bearer " + s.bob.access, http.StatusNotFound, "sale_not_found"}, []any{theirs})
	return len(all) + 1
}

func (s *suite) attempt(w *world, op *Operation, base string, a attempt, args []any) {
	w.t.Helper()
	c := call{args: args}
	if a.header != "" {
		c.header = []string{"Authorization", a.header}
	}
	want := a.status
	if want == 0 {
		want = reaches(op)
	}
	if op.RequestBody != nil && op.RequestBody.Required {
		c.raw = "{}"
	}
	method, filled := path(op.Name, args)
	got := w.fetch(base, method, filled, c)
	if got.status != want {
		w.t.Errorf("%s with %s: %d, want %d\n%s", op.Name, a.name, got.status, want, shorten(got.body))
		return
	}
	if a.code != "" {
		code(a.code)(w, got)
	}
}

// attempts are all kinds of callers. Whoever may not call learns that before
// anything else is looked at.
func (s *suite) attempts(w *world, op *Operation) []attempt {
	right, user := op.Roles, map[string]*session{"Client": s.ann, "Manager": s.manager}
	if len(right) == 0 {
		right = []string{"Client", "Manager"}
	}
	holder := user[right[0]]
	none, bad := http.StatusUnauthorized, "invalid_token"
	if op.Public() {
		none, bad = 0, "" // a token is not looked at
	}
	first := ""
	if !op.Public() {
		first = "unauthenticated"
	}
	all := []attempt{{"no token", "", none, first}}
	for what, token := range s.Keys.bad(holder.id, right[0]) {
		all = append(all, attempt{what, "Bearer " + token, none, bad})
	}
	good := w.minted(holder.id, right[0]).access
	for what, header := range map[string]string{"Basic": "Basic " + good, "no scheme": good, "an empty token": "Bearer "} {
		all = append(all, attempt{what, header, none, bad})
	}
	for role, as := range user {
		a := attempt{"role " + role, "Bearer " + as.access, 0, ""}
		if !op.Public() && !slices.Contains(right, role) {
			a.status, a.code = http.StatusForbidden, "forbidden"
		}
		all = append(all, a, attempt{"minted role " + role, "Bearer " + w.minted(as.id, role).access, a.status, a.code})
	}
	return all
}

// reaches is what an operation answers to whoever may call, of a thing that does not
// exist and with an empty body.
func reaches(op *Operation) int {
	switch {
	case op.RequestBody != nil && op.RequestBody.Required:
		return http.StatusUnprocessableEntity
	case slices.ContainsFunc(op.inPath(), func(p Parameter) bool { return p.Name == "quantity" }):
		return http.StatusUnprocessableEntity // so many do not exist, either
	case len(op.inPath()) > 0:
		return http.StatusNotFound
	}
	return http.StatusOK
}

// owned says whether the path names a thing that belongs to a user.
func owned(op *Operation) bool { return strings.HasPrefix(op.Path, "/sales/{id}") }

// annsSale is one that nobody else may see.
func (s *suite) annsSale(w *world) int64 {
	w.t.Helper()
	return w.place(s.ann, order(line{ProductID: nowhere, Quantity: 1})).ID
}
