package contract

import (
	"net/http"
	"slices"
	"strings"
)

// rows of the whole contract: those written out, and those that follow for every
// operation from what the document says of it.
func (s *suite) rows() []row {
	rows := written()
	for _, name := range s.document.Names() {
		rows = append(rows, s.derived(s.document.Operations[name])...)
	}
	return rows
}

func written() []row {
	return slices.Concat(authRows(), productRows(), stockRows(), saleRows(), adminRows())
}

// derived are the rows that every operation of a kind has.
func (s *suite) derived(op *Operation) []row {
	var rows []row
	as := func(who func() *session, status int, variant string, change func(*call), checks ...check) {
		rows = append(rows, on(op.Name, gets(status, variant, func(*world) call {
			c := call{as: who(), args: placeholders(op, 1)}
			change(&c)
			return c
		}, checks...))...)
	}
	fitting := func() *session { return s.fitting(op) }
	nothing := func(*call) {}
	if !op.Public() {
		as(func() *session { return nil }, http.StatusUnauthorized, "no token", nothing, code("unauthenticated"))
	}
	if len(op.Roles) > 0 {
		as(func() *session { return s.misfit(op) }, http.StatusForbidden, "wrong role", nothing, code("forbidden"))
	}
	as(fitting, http.StatusBadRequest, "text that is not UTF-8", func(c *call) { c.query = "q=%ff" })
	if op.RequestBody != nil {
		as(fitting, http.StatusBadRequest, "malformed JSON", func(c *call) { c.raw = `{"name": ` })
		as(fitting, http.StatusRequestEntityTooLarge, "more than 1 MiB", func(c *call) { c.raw = `"` + strings.Repeat("x", 1<<20) + `"` })
		as(fitting, http.StatusUnsupportedMediaType, "not JSON", func(c *call) {
			c.raw, c.header = "name=Desk", []string{"Content-Type", "application/x-www-form-urlencoded"}
		})
		as(fitting, http.StatusUnprocessableEntity, "unknown field", func(c *call) { c.raw = `{"nobodyKnows": 1}` }, at("body.nobodyKnows"))
	}
	if op.lists() {
		for _, q := range []string{"limit=0", "limit=-1", "limit=201", "cursor=nonsense", "cursor=" + strings.Repeat("x", 513)} {
			name, _, _ := strings.Cut(q, "=")
			as(fitting, http.StatusUnprocessableEntity, shortenTo(q, 20), func(c *call) { c.query = q }, at("query."+name))
		}
	}
	for i, p := range op.inPath() {
		as(fitting, http.StatusUnprocessableEntity, p.Name+" 0", func(c *call) {
			c.args[i] = 0
			if op.RequestBody != nil {
				c.raw = "{}"
			}
		}, at("path."+p.Name))
	}
	return rows
}

// placeholders fill a path with a number.
func placeholders(op *Operation, n int64) []any {
	return slices.Repeat([]any{n}, len(op.inPath()))
}

// fitting is somebody who may call.
func (s *suite) fitting(op *Operation) *session {
	switch {
	case op.Public():
		return nil
	case slices.Contains(op.Roles, "Manager"):
		return s.manager
	}
	return s.ann
}

// misfit is somebody with a role that may not call.
func (s *suite) misfit(op *Operation) *session {
	if slices.Contains(op.Roles, "Manager") {
		return s.ann
	}
	return s.manager
}

// valid is a row of an operation that succeeds.
func (s *suite) valid(op string) (row, bool) {
	for _, r := range written() {
		if r.op == op && r.status < 300 {
			return r, true
		}
	}
	return row{}, false
}

func shortenTo(text string, most int) string { return text[:min(len(text), most)] }
