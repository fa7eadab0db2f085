package contract

import (
	"net/http"
	"testing"
	"time"
)

// checkFaults checks for every operation that it returns 503 while its dependency is
// unavailable, and succeeds afterwards.
func (s *suite) checkFaults(t *testing.T) {
	s.checkUnreservedHold(t)
	type prepared struct {
		testCase testCase
		call     call
	}
	byNeed := map[string][]prepared{}
	for _, name := range s.document.Names() {
		r, ok := s.successCase(name)
		if !ok {
			t.Errorf("%s has no case that succeeds", name)
			continue
		}
		w := s.newContext(t)
		byNeed[dependencyOf(name)] = append(byNeed[dependencyOf(name)], prepared{r, r.call(w)})
	}
	for _, n := range []struct {
		what    string
		stop    func() error
		restore func() error
	}{
		{"database", func() error { s.Faults.DisconnectDatabase(); return nil }, s.Faults.ReconnectDatabase},
		{"auth", func() error { return s.Faults.StopService("auth") }, func() error { return s.Faults.StartService("auth") }},
	} {
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		for _, p := range byNeed[n.what] {
			unavailable := expect(http.StatusServiceUnavailable, "no "+n.what, nil)
			unavailable.op = p.testCase.op
			t.Run(unavailable.name(), func(t *testing.T) {
				w := s.newContext(t)
				w.checkResponse(unavailable, w.send(unavailable.op, p.call))
			})
		}
		if err := n.restore(); err != nil {
			t.Fatal(err)
		}
		for _, p := range byNeed[n.what] {
			t.Run(p.testCase.op+" after no "+n.what, func(t *testing.T) { s.checkRecovery(t, p.testCase) })
		}
	}
}

// dependencyOf returns the dependency that an operation requires.
func dependencyOf(op string) string {
	if op == "GET /.well-known/jwks.json" {
		return "auth"
	}
	return "database"
}

// checkRecovery waits until all services have recovered and checks that a case succeeds.
func (s *suite) checkRecovery(t *testing.T, r testCase) {
	w := s.newContext(t)
	w.waitUntil("the service has recovered", func() bool { return w.send("GET /products", call{query: "q=" + unique()}).status == http.StatusOK })
	w.waitUntil("the service has recovered", func() bool {
		return w.send("POST /auth/login", call{body: w.ann.credentials()}).status == http.StatusOK
	})
	w.waitUntil("the service has recovered", func() bool { return w.send("GET /sales", call{as: w.ann}).status == http.StatusOK })
	w.checkResponse(r, w.send(r.op, r.call(w)))
}

// checkUnreservedHold checks that a hold cannot be confirmed before its stock is
// reserved, and that a request is not repeated while it waits for that.
func (s *suite) checkUnreservedHold(t *testing.T) {
	r := operation("PATCH /sales/{id}", expect(http.StatusConflict, "stock_not_reserved", nil, hasCode("stock_not_reserved")))[0]
	running := operation("POST /sales", expect(http.StatusConflict, "idempotency_in_progress", nil,
		hasCode("idempotency_in_progress"), hasHeaders("Retry-After")))[0]
	t.Run(r.name(), func(t *testing.T) {
		w := s.newContext(t)
		id, other := w.newProduct(1).ID, w.newProduct(1).ID
		s.Faults.DisconnectBroker()
		c := call{as: w.ann, header: []string{"Idempotency-Key", unique(), "Prefer", "wait=20"}, body: holdBody(line{ProductID: other, Quantity: 1})}
		w.startRequest("/sales", c, func() bool { return len(w.salesOf(w.ann, other)) > 0 })
		w.checkResponse(running, w.send(running.op, c))
		began := time.Now()
		w.place(w.ann, orderBody(line{ProductID: other, Quantity: 1}), "Prefer", "wait=1")
		if took := time.Since(began); took < time.Second || took > waitTimeout {
			t.Errorf("Prefer: wait=1 of a sale that is not decided took %s", took)
		}
		created := w.place(w.ann, holdBody(line{ProductID: id, Quantity: 1}))
		w.checkResponse(r, w.send(r.op, call{as: w.ann, args: []any{created.ID}}))
		if err := s.Faults.ReconnectBroker(); err != nil {
			t.Fatal(err)
		}
		w.waitUntil("the stock is reserved", func() bool { return w.getSale(w.ann, created.ID).TotalAmount != "" })
	})
}
