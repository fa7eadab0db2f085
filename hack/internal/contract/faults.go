package contract

import (
	"net/http"
	"testing"
)

// faults proves for every operation that what the store needs may be away: the
// answer is 503, and the same call succeeds afterwards.
func (s *suite) faults(t *testing.T) {
	s.unreserved(t)
	type prepared struct {
		row  row
		call call
	}
	byNeed := map[string][]prepared{}
	for _, name := range s.document.Names() {
		r, ok := s.valid(name)
		if !ok {
			t.Errorf("%s has no row that succeeds", name)
			continue
		}
		w := s.world(t)
		byNeed[restsOn(name)] = append(byNeed[restsOn(name)], prepared{r, r.call(w)})
	}
	for _, n := range []struct {
		what  string
		take  func() error
		again func() error
	}{
		{"database", func() error { s.Faults.CutDatabase(); return nil }, s.Faults.MendDatabase},
		{"auth", func() error { return s.Faults.StopService("auth") }, func() error { return s.Faults.StartService("auth") }},
	} {
		if err := n.take(); err != nil {
			t.Fatal(err)
		}
		for _, p := range byNeed[n.what] {
			away := gets(http.StatusServiceUnavailable, "no "+n.what, nil)
			away.op = p.row.op
			t.Run(away.name(), func(t *testing.T) {
				w := s.world(t)
				w.judge(away, w.send(away.op, p.call))
			})
		}
		if err := n.again(); err != nil {
			t.Fatal(err)
		}
		for _, p := range byNeed[n.what] {
			t.Run(p.row.op+" after no "+n.what, func(t *testing.T) { s.recovers(t, p.row) })
		}
	}
}

// restsOn is what an operation cannot do without.
func restsOn(op string) string {
	if op == "GET /.well-known/jwks.json" {
		return "auth"
	}
	return "database"
}

// recovers waits until a call succeeds again.
func (s *suite) recovers(t *testing.T, r row) {
	w := s.world(t)
	w.until("it works again", func() bool { return w.send("GET /products", call{query: "q=" + unique()}).status == http.StatusOK })
	w.until("it works again", func() bool {
		return w.send("POST /auth/login", call{body: w.ann.credentials()}).status == http.StatusOK
	})
	w.until("it works again", func() bool { return w.send("GET /sales", call{as: w.ann}).status == http.StatusOK })
	w.judge(r, w.send(r.op, r.call(w)))
}

// unreserved proves what becomes of a held sale whose stock nobody reserves.
func (s *suite) unreserved(t *testing.T) {
	r := on("PATCH /sales/{id}", gets(http.StatusConflict, "stock_not_reserved", nil, code("stock_not_reserved")))[0]
	t.Run(r.name(), func(t *testing.T) {
		w := s.world(t)
		id := w.product(1).ID
		s.Faults.CutBroker()
		made := w.place(w.ann, held(line{ProductID: id, Quantity: 1}))
		w.judge(r, w.send(r.op, call{as: w.ann, args: []any{made.ID}}))
		if err := s.Faults.MendBroker(); err != nil {
			t.Fatal(err)
		}
		w.until("the stock is reserved", func() bool { return w.sale(w.ann, made.ID).TotalAmount != "" })
	})
}
