package contract

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// checker passes requests on and checks every answer: by the document, and by the
// conventions. What is wrong fails the test in the request's context.
type checker struct {
	gateway  string
	document *Document
	next     http.RoundTripper
}

type (
	testKey      struct{}
	impoliteness struct{}
)

// within gives requests the test that their answers may fail.
func within(ctx context.Context, t *testing.T) context.Context {
	return context.WithValue(ctx, testKey{}, t)
}

// impolitely lets requests see that they were too many. Others wait as they are told
// and come again.
func impolitely(ctx context.Context) context.Context {
	return context.WithValue(ctx, impoliteness{}, true)
}

// RoundTrip implements http.RoundTripper.
func (c *checker) RoundTrip(req *http.Request) (*http.Response, error) {
	t := req.Context().Value(testKey{}).(*testing.T)
	for {
		res, body, err := c.send(req)
		if err != nil {
			return nil, err
		}
		if wrong := c.check(req, res, body); len(wrong) > 0 {
			t.Errorf("%s %s: %d\n  %s\n  %s", req.Method, req.URL.Path, res.StatusCode, strings.Join(wrong, "\n  "), shorten(body))
		}
		wait, tooMany := refusal(res, body)
		if !tooMany || req.Context().Value(impoliteness{}) != nil {
			return res, nil
		}
		if err := pause(req.Context(), wait); err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// send reads the whole answer, unless it is a stream.
func (c *checker) send(req *http.Request) (*http.Response, []byte, error) {
	res, err := c.next.RoundTrip(req)
	if err != nil || streams(res) {
		return res, nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err == nil {
		err = res.Body.Close()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer to %s %s: %w", req.Method, req.URL.Path, err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, body, nil
}

func streams(res *http.Response) bool {
	return strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
}

// refusal is how long to wait when there were too many requests.
func refusal(res *http.Response, body []byte) (time.Duration, bool) {
	if res.StatusCode != http.StatusTooManyRequests || !bytes.Contains(body, []byte(`"rate_limited"`)) {
		return 0, false
	}
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, err == nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check gives everything that is wrong with an answer.
func (c *checker) check(req *http.Request, res *http.Response, body []byte) []string {
	wrong := conventions(req, res, body)
	if strings.HasPrefix(req.URL.String(), c.gateway) && !probe(req.URL.Path) {
		wrong = append(wrong, limitHeaders(res.Header)...)
	}
	if op := c.document.find(req.Method, req.URL.Path); op != nil {
		wrong = append(wrong, c.byDocument(op, req, res, body)...)
	}
	return wrong
}

// byDocument checks status, content type and body.
func (c *checker) byDocument(op *Operation, req *http.Request, res *http.Response, body []byte) []string {
	if !op.documents(res.StatusCode) {
		return []string{fmt.Sprintf("%s does not document %d", op.Name, res.StatusCode)}
	}
	if streams(res) || req.Method == http.MethodHead {
		return nil
	}
	answer := &http.Response{StatusCode: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body))}
	ok, errs := c.document.validator.ValidateHttpResponse(req, answer)
	if ok {
		return nil
	}
	var wrong []string
	for _, e := range errs {
		wrong = append(wrong, "not as documented: "+e.Message+": "+e.Reason)
		for _, s := range e.SchemaValidationErrors {
			wrong = append(wrong, "  "+s.FieldPath+": "+s.Reason)
		}
	}
	return wrong
}

func probe(path string) bool { return path == "/health" || path == "/livez" || path == "/readyz" }

// shorten keeps what is shown of an answer readable.
func shorten(body []byte) string {
	const most = 600
	if len(body) > most {
		return string(body[:most]) + "…"
	}
	return string(body)
}
