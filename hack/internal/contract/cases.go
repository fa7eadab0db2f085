package contract

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// cases returns all cases: the explicit ones and those that are derived from the
// document.
func (s *suite) cases() []testCase {
	cases := explicitCases()
	for _, name := range s.document.Names() {
		cases = append(cases, s.derivedCases(s.document.Operations[name])...)
	}
	return cases
}

func explicitCases() []testCase {
	return slices.Concat(authCases(), productCases(), stockCases(), saleCases(), adminCases())
}

// derivedCases returns the cases that follow from the document of an operation.
func (s *suite) derivedCases(op *Operation) []testCase {
	var cases []testCase
	as := func(who func() *session, status int, variant string, change func(*call), checks ...check) {
		cases = append(cases, operation(op.Name, expect(status, variant, func(*testContext) call {
			c := call{as: who(), args: placeholders(op, 1)}
			change(&c)
			return c
		}, checks...))...)
	}
	permittedUser := func() *session { return s.permittedUser(op) }
	nothing := func(*call) {}
	if !op.Public() {
		as(func() *session { return nil }, http.StatusUnauthorized, "no token", nothing, hasCode("unauthenticated"))
	}
	if len(op.Roles) > 0 {
		as(func() *session { return s.forbiddenUser(op) }, http.StatusForbidden, "wrong role", nothing, hasCode("forbidden"))
	}
	as(permittedUser, http.StatusUnprocessableEntity, "unknown query parameter", func(c *call) { c.query = "minPrise=1" }, hasErrorsAt("query.minPrise"))
	as(permittedUser, http.StatusBadRequest, "text that is not UTF-8", func(c *call) { c.query = "q=%ff" }, hasCode("invalid_utf8"))
	if op.RequestBody != nil {
		as(permittedUser, http.StatusBadRequest, "malformed JSON", func(c *call) { c.raw = `{"name": ` })
		as(permittedUser, http.StatusRequestEntityTooLarge, "more than 1 MiB", func(c *call) { c.raw = `"` + strings.Repeat("x", 1<<20) + `"` })
		as(permittedUser, http.StatusUnsupportedMediaType, "not JSON", func(c *call) {
			c.raw, c.header = "name=Desk", []string{"Content-Type", "application/x-www-form-urlencoded"}
		})
		as(permittedUser, http.StatusBadRequest, "body that is not UTF-8", func(c *call) { c.raw = "{\"name\": \"n\xff\"}" }, hasCode("invalid_utf8"))
		as(permittedUser, http.StatusUnsupportedMediaType, "content coding", func(c *call) {
			c.raw, c.header = "{}", []string{"Content-Encoding", "gzip"}
		}, hasCode("unsupported_content_encoding"), hasHeader("Accept-Encoding", "identity"))
		as(permittedUser, http.StatusUnprocessableEntity, "unknown field", func(c *call) { c.raw = `{"unknownField": 1}` }, hasErrorsAt("body.unknownField"))
	}
	if op.hasHeader("Idempotency-Key") && op.Name != "POST /sales" { // which has explicit cases
		cases = append(cases, s.repeatCases(op)...)
	}
	if op.isList() {
		for _, q := range []string{"limit=0", "limit=-1", "limit=201", "cursor=nonsense", "cursor=" + strings.Repeat("x", 513)} {
			name, _, _ := strings.Cut(q, "=")
			as(permittedUser, http.StatusUnprocessableEntity, truncateTo(q, 20), func(c *call) { c.query = q }, hasErrorsAt("query."+name))
		}
	}
	for i, p := range op.pathParameters() {
		for _, value := range []any{0, "+5", "05"} {
			as(permittedUser, http.StatusUnprocessableEntity, fmt.Sprint(p.Name, " ", value), func(c *call) {
				c.args[i] = value
				if op.RequestBody != nil {
					c.raw = "{}"
				}
			}, hasErrorsAt("path."+p.Name))
		}
	}
	return cases
}

// repeatCases returns the cases of a request that is repeated with its key, and of another request
// with the key.
func (s *suite) repeatCases(op *Operation) []testCase {
	success, ok := s.successCase(op.Name)
	if !ok {
		return nil
	}
	withKey := func(c call, key string) call {
		c.header = append(slices.Clone(c.header), "Idempotency-Key", key)
		return c
	}
	cases := []testCase{expect(success.status, "repeated with its key", func(w *testContext) call {
		c := withKey(success.call(w), unique())
		hasHeader("Idempotent-Replayed", "")(w, w.must(op.Name, success.status, c))
		return c
	}, hasHeader("Idempotent-Replayed", "true"))}
	if op.Name != "POST /auth/register/user" { // where the keys of two emails are independent
		cases = append(cases, expect(http.StatusUnprocessableEntity, "another request with the key", func(w *testContext) call {
			key := unique()
			w.must(op.Name, success.status, withKey(success.call(w), key))
			return withKey(success.call(w), key)
		}, hasCode("idempotency_key_reused")))
	}
	return operation(op.Name, cases...)
}

// placeholders returns n for every path parameter.
func placeholders(op *Operation, n int64) []any {
	return slices.Repeat([]any{n}, len(op.pathParameters()))
}

// permittedUser returns a user who may call the operation, or nil for a public one.
func (s *suite) permittedUser(op *Operation) *session {
	switch {
	case op.Public():
		return nil
	case slices.Contains(op.Roles, "Manager"):
		return s.manager
	}
	return s.ann
}

// forbiddenUser returns a user whose role may not call the operation.
func (s *suite) forbiddenUser(op *Operation) *session {
	if slices.Contains(op.Roles, "Manager") {
		return s.ann
	}
	return s.manager
}

// successCase returns a case of the operation that succeeds, and whether there is one.
func (s *suite) successCase(op string) (testCase, bool) {
	for _, r := range explicitCases() {
		if r.op == op && r.status < 300 {
			return r, true
		}
	}
	return testCase{}, false
}

func truncateTo(text string, limit int) string { return text[:min(len(text), limit)] }
