package contract

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

// slow begins a request to every operation with a body, whose body does not come.
// That takes the store half a minute to refuse, so the rest runs meanwhile; the
// function that it returns judges.
func (s *suite) slow(t *testing.T) func(t *testing.T) {
	t.Helper()
	type outcome struct {
		op     string
		answer *answer
		err    error
	}
	w := s.world(t)
	outcomes := make(chan outcome, len(s.document.Operations))
	begun := 0
	for _, name := range s.document.Names() {
		op := s.document.Operations[name]
		if op.RequestBody == nil {
			continue
		}
		begun++
		go func() {
			a, err := w.unfinished(op)
			outcomes <- outcome{name, a, err}
		}()
	}
	return func(t *testing.T) {
		for range begun {
			o := <-outcomes
			r := on(o.op, gets(http.StatusRequestTimeout, "the body does not come", nil, code("request_timeout")))[0]
			t.Run(r.name(), func(t *testing.T) {
				if o.err != nil {
					t.Fatal(o.err)
				}
				s.world(t).judge(r, o.answer)
			})
		}
	}
}

// unfinished sends the beginning of a body.
func (w *world) unfinished(op *Operation) (*answer, error) {
	body, end := io.Pipe()
	defer end.Close()
	method, filled := path(op.Name, placeholders(op, nowhere))
	req, err := w.request(w.ctx, w.URL, method, filled, call{as: w.fitting(op), raw: "{"})
	if err != nil {
		return nil, err
	}
	req.Body, req.GetBody, req.ContentLength = body, nil, 100
	go func() { _, _ = end.Write([]byte(`{"`)) }() // what follows does not come
	// A connection that breaks off ends Do only after the body has ended.
	defer time.AfterFunc(2*time.Minute, func() { _ = end.CloseWithError(errors.New("no response within 2 minutes")) }).Stop()
	res, err := w.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	return &answer{status: res.StatusCode, header: res.Header, body: content}, err
}
