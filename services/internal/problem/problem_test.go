package problem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/telemetry"
)

func TestFromMapsEachKindToOneStatus(t *testing.T) {
	t.Parallel()
	cases := []struct {
		err        error
		status     int
		code       string
		retryAfter string
	}{
		{failure.NotFound("product_not_found", "Product %d does not exist.", 7), 404, "product_not_found", ""},
		{failure.Conflict("email_taken", "x"), 409, "email_taken", ""},
		{failure.Stale("stale", "x"), 412, "stale", ""},
		{failure.Forbidden("forbidden", "x"), 403, "forbidden", ""},
		{failure.Unauthenticated("invalid_credentials", "x"), 401, "invalid_credentials", ""},
		{failure.Invalid("body.price", "at most 2 decimal places"), 422, "invalid_request", ""},
		{failure.TooMany("too_many_attempts", 1500*time.Millisecond, "x"), 429, "too_many_attempts", "2"},
		{failure.Unavailable(0, errors.New("secret host")), 503, "unavailable", "1"},
		{errors.New("secret query"), 500, "internal", ""},
		{&failure.Error{Code: "x", Err: errors.New("secret")}, 500, "internal", ""},
		{context.DeadlineExceeded, 503, "timeout", "1"},
		{&http.MaxBytesError{Limit: 1}, 413, "body_too_large", ""},
		{problem.New(404, "", "x"), 404, "not_found", ""},
	}
	for _, c := range cases {
		p := problem.From(fmt.Errorf("read: %w", c.err))
		if p.Status != c.status || p.Code != c.code || p.GetHeaders().Get("Retry-After") != c.retryAfter {
			t.Errorf("From(%v) = %d %s Retry-After %q, want %d %s %q", c.err, p.Status, p.Code,
				p.GetHeaders().Get("Retry-After"), c.status, c.code, c.retryAfter)
		}
		body, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), "secret") {
			t.Errorf("the response has the cause: %s", body)
		}
		if c.status >= 500 && errors.Unwrap(p) == nil {
			t.Errorf("%d has no cause for the log", c.status)
		}
	}
}

func TestWriteWritesEveryMember(t *testing.T) {
	t.Parallel()
	ctx := telemetry.WithTraceParent(t.Context(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/stock/7/reserve/9?x=1", nil)
	rec := httptest.NewRecorder()
	problem.Write(rec, r, problem.From(failure.Conflict("insufficient_stock", "Only 3 are available.").With("available", 3)))

	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "urn:ecommerce-stack:problem:insufficient_stock", "title": "Conflict", "status": 409.0,
		"detail": "Only 3 are available.", "instance": "/stock/7/reserve/9", "code": "insufficient_stock",
		"traceId": "0af7651916cd43dd8448eb211c80319c", "available": 3.0,
	}
	if diff := cmp.Diff(want, got); diff != "" || rec.Code != 409 || rec.Header().Get("Content-Type") != problem.ContentType {
		t.Errorf("response %d %s (-want +got):\n%s", rec.Code, rec.Header().Get("Content-Type"), diff)
	}
}

func TestValidationErrorsNameFieldRuleAndTypeWithoutValue(t *testing.T) {
	t.Parallel()
	err := huma.NewError(422, "validation failed",
		&huma.ErrorDetail{Location: "body", Message: "expected required property name to be present", Value: map[string]any{"x": "hunter2"}},
		&huma.ErrorDetail{Location: "body.count", Message: "expected integer", Value: "hunter2"},
		&huma.ErrorDetail{Location: "body.bad", Message: "unexpected property", Value: "hunter2"},
		&huma.ErrorDetail{Location: "body.price", Message: "expected value to match exactly one schema but matched none", Value: "hunter2"},
		&huma.ErrorDetail{Location: "body.price", Message: "at most 2 decimal places"},
	)
	var p *problem.Problem
	if !errors.As(err, &p) {
		t.Fatalf("huma.NewError returns a %T", err)
	}
	want := []problem.FieldError{
		{Location: "body.bad", Message: "is not a field of this request"},
		{Location: "body.count", Message: "expected integer, got string"},
		{Location: "body.name", Message: "is required"},
		{Location: "body.price", Message: "at most 2 decimal places"},
	}
	if diff := cmp.Diff(want, p.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestLargeRequestCausesNoLargeProblem(t *testing.T) {
	t.Parallel()
	details := make([]error, 10_000)
	for i := range details {
		details[i] = &huma.ErrorDetail{Location: "body." + strings.Repeat("é", 5000), Message: "unexpected property"}
	}
	body, err := json.Marshal(huma.NewError(422, "validation failed", details...))
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > 20_000 {
		t.Errorf("the problem has %d bytes", len(body))
	}
}
