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

// checker is a round tripper that checks every response against the document and the
// conventions. Violations fail the test in the request's context.
type checker struct {
	gateway  string
	document *Document
	next     http.RoundTripper
}

type (
	testKey    struct{}
	noRetryKey struct{}
)

// withTest returns a context with the test that invalid responses fail.
func withTest(ctx context.Context, t *testing.T) context.Context {
	return context.WithValue(ctx, testKey{}, t)
}

// withoutRetry returns a context for requests that are not repeated after 429. Others
// are repeated after Retry-After.
func withoutRetry(ctx context.Context) context.Context {
	return context.WithValue(ctx, noRetryKey{}, true)
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
			t.Errorf("%s %s: %d\n  %s\n  %s", req.Method, req.URL.Path, res.StatusCode, strings.Join(wrong, "\n  "), truncate(body))
		}
		wait, tooMany := rateLimited(res, body)
		if !tooMany || req.Context().Value(noRetryKey{}) != nil {
			return res, nil
		}
		if err := sleep(req.Context(), wait); err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// send sends a request and reads the whole response, unless it is a stream.
func (c *checker) send(req *http.Request) (*http.Response, []byte, error) {
	res, err := c.next.RoundTrip(req)
	if err != nil || isStream(res) {
		return res, nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err == nil {
		err = res.Body.Close()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the response to %s %s: %w", req.Method, req.URL.Path, err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, body, nil
}

func isStream(res *http.Response) bool {
	return strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
}

// rateLimited reports whether the response is that of the rate limit, and returns its
// Retry-After.
func rateLimited(res *http.Response, body []byte) (time.Duration, bool) {
	if res.StatusCode != http.StatusTooManyRequests || !bytes.Contains(body, []byte(`"rate_limited"`)) {
		return 0, false
	}
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, err == nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check returns the violations in a response.
func (c *checker) check(req *http.Request, res *http.Response, body []byte) []string {
	wrong := checkConventions(req, res, body)
	if strings.HasPrefix(req.URL.String(), c.gateway) && !isProbe(req.URL.Path) {
		wrong = append(wrong, checkLimitHeaders(res.Header)...)
	}
	if op := c.document.find(req.Method, req.URL.Path); op != nil {
		wrong = append(wrong, c.checkDocumented(op, req, res, body)...)
	}
	return wrong
}

// checkDocumented checks status, content type and body against the document.
func (c *checker) checkDocumented(op *Operation, req *http.Request, res *http.Response, body []byte) []string {
	if !op.documents(res.StatusCode) {
		return []string{fmt.Sprintf("%s does not document %d", op.Name, res.StatusCode)}
	}
	if isStream(res) || req.Method == http.MethodHead {
		return nil
	}
	response := &http.Response{StatusCode: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body))}
	ok, errs := c.document.validator.ValidateHttpResponse(req, response)
	if ok {
		return nil
	}
	var wrong []string
	for _, e := range errs {
		wrong = append(wrong, "differs from the document: "+e.Message+": "+e.Reason)
		for _, s := range e.SchemaValidationErrors {
			wrong = append(wrong, "  "+s.FieldPath+": "+s.Reason)
		}
	}
	return wrong
}

func isProbe(path string) bool { return path == "/health" || path == "/livez" || path == "/readyz" }

// truncate returns the beginning of a body, for messages.
func truncate(body []byte) string {
	const limit = 600
	if len(body) > limit {
		return string(body[:limit]) + "…"
	}
	return string(body)
}
