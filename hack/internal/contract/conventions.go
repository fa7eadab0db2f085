package contract

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// problem is the body of an error response (RFC 9457) with the fields of the contract.
type problem struct {
	Type, Title, Detail, Instance, Code, TraceID string
	Status                                       int
	Errors                                       []struct{ Location, Message string }
}

var (
	codeForm  = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	traceForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

	traceParentForm = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
)

// checkConventions returns the violations of the conventions for all responses.
func checkConventions(req *http.Request, res *http.Response, body []byte) []string {
	var wrong []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	check(res.Header.Get("X-Request-Id") != "", "no X-Request-Id")
	check(traceParentForm.MatchString(res.Header.Get("Traceparent")), "Traceparent %q", res.Header.Get("Traceparent"))
	check(res.StatusCode < 500 || res.StatusCode == http.StatusServiceUnavailable, "a 5xx status other than 503")
	switch res.StatusCode {
	case http.StatusUnauthorized:
		check(strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer"), "401 with WWW-Authenticate %q", res.Header.Get("WWW-Authenticate"))
	case http.StatusMethodNotAllowed:
		check(res.Header.Get("Allow") != "", "405 without Allow")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if !isProbe(req.URL.Path) {
			check(isPositive(res.Header.Get("Retry-After")), "%d with Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
	case http.StatusNoContent, http.StatusNotModified:
		check(len(body) == 0, "%d with a body", res.StatusCode)
	}
	if res.StatusCode >= 400 && req.Method != http.MethodHead && !isProbe(req.URL.Path) {
		wrong = append(wrong, checkProblem(req, res, body)...)
	}
	return wrong
}

// checkProblem returns the violations in a problem.
func checkProblem(req *http.Request, res *http.Response, body []byte) []string {
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		return []string{fmt.Sprintf("a problem with Content-Type %q", got)}
	}
	var p problem
	if err := json.Unmarshal(body, &p); err != nil {
		return []string{"a problem that is not JSON: " + err.Error()}
	}
	var wrong []string
	for what, ok := range map[string]bool{
		"type is missing":                      p.Type != "",
		"title is missing":                     p.Title != "",
		"detail is missing":                    p.Detail != "",
		"status differs from the response":     p.Status == res.StatusCode,
		"instance is not the path":             p.Instance == req.URL.Path,
		"code is not in snake_case":            codeForm.MatchString(p.Code),
		"traceId is not a trace ID":            traceForm.MatchString(p.TraceID),
		"invalid values without errors[]":      p.Status != http.StatusUnprocessableEntity || len(p.Errors) > 0,
		"an error without location or message": errorsComplete(p),
	} {
		if !ok {
			wrong = append(wrong, "problem: "+what)
		}
	}
	return wrong
}

func errorsComplete(p problem) bool {
	for _, e := range p.Errors {
		if e.Location == "" || e.Message == "" {
			return false
		}
	}
	return true
}

// checkLimitHeaders returns the violations in the headers of the rate limit.
func checkLimitHeaders(h http.Header) []string {
	var wrong []string
	for _, name := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
		if n, err := strconv.Atoi(h.Get(name)); err != nil || n < 0 {
			wrong = append(wrong, fmt.Sprintf("%s is %q", name, h.Get(name)))
		}
	}
	return wrong
}

func isPositive(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n > 0
}
