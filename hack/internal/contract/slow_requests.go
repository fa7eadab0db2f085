package contract

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

// startSlowRequests starts a request with an incomplete body to every operation with a
// body. The system returns 408 after half a minute, so the other tests run in the
// meantime; the returned function waits for the responses and checks them.
func (s *suite) startSlowRequests(t *testing.T) func(t *testing.T) {
	t.Helper()
	type outcome struct {
		op       string
		response *response
		err      error
	}
	w := s.newContext(t)
	outcomes := make(chan outcome, len(s.document.Operations))
	begun := 0
	for _, name := range s.document.Names() {
		op := s.document.Operations[name]
		if op.RequestBody == nil {
			continue
		}
		begun++
		go func() {
			a, err := w.sendPartialBody(op)
			outcomes <- outcome{name, a, err}
		}()
	}
	return func(t *testing.T) {
		for range begun {
			o := <-outcomes
			r := operation(o.op, expect(http.StatusRequestTimeout, "incomplete body", nil, hasCode("request_timeout")))[0]
			t.Run(r.name(), func(t *testing.T) {
				if o.err != nil {
					t.Fatal(o.err)
				}
				s.newContext(t).checkResponse(r, o.response)
			})
		}
	}
}

// sendPartialBody sends the beginning of a body.
func (w *testContext) sendPartialBody(op *Operation) (*response, error) {
	body, end := io.Pipe()
	defer end.Close()
	method, filled := resolvePath(op.Name, placeholders(op, unknownID))
	req, err := w.request(w.ctx, w.URL, method, filled, call{as: w.permittedUser(op), raw: "{"})
	if err != nil {
		return nil, err
	}
	req.Body, req.GetBody, req.ContentLength = body, nil, 100
	go func() { _, _ = end.Write([]byte(`{"`)) }() // the rest of the body is never sent
	// After a connection error Do returns only when the body has ended.
	defer time.AfterFunc(2*time.Minute, func() { _ = end.CloseWithError(errors.New("no response within 2 minutes")) }).Stop()
	res, err := w.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	return &response{status: res.StatusCode, header: res.Header, body: content}, err
}
