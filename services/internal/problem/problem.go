// Package problem is the one form in which an HTTP answer tells a failure: problem
// details (RFC 9457) with a stable code, the trace id, and the invalid values.
//
// Importing it makes huma's own errors take this form too. A handler returns any
// error; From decides what the client is told. Nothing of an unclassified error
// is: it becomes a 500 whose cause is only logged.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// ContentType of a problem (RFC 9457, section 3).
const ContentType = "application/problem+json"

// typePrefix makes a problem's type from its code (RFC 9457, section 3.1.1).
const typePrefix = "urn:ecommerce-stack:problem:"

// FieldError is a value that breaks a rule.
type FieldError struct {
	Location string `json:"location" doc:"Where the value is, such as body.items[0].quantity or query.limit" example:"body.price"`
	Message  string `json:"message" doc:"The rule it breaks" example:"expected number >= 0"`
}

// Problem is an error that says which HTTP answer it is.
type Problem struct {
	Type     string       `json:"type" doc:"URI of the kind of problem" example:"urn:ecommerce-stack:problem:not_found"`
	Title    string       `json:"title" doc:"Short summary of the kind" example:"Not Found"`
	Status   int          `json:"status" doc:"HTTP status" example:"404"`
	Detail   string       `json:"detail,omitempty" doc:"What happened this time" example:"Product 7 does not exist."`
	Instance string       `json:"instance,omitempty" doc:"Path of the request" example:"/products/7"`
	Code     string       `json:"code" doc:"Stable name of the problem, to decide by" example:"not_found"`
	TraceID  string       `json:"traceId,omitempty" doc:"Trace to quote when asking for help" example:"0af7651916cd43dd8448eb211c80319c"`
	Errors   []FieldError `json:"errors,omitempty" doc:"The invalid values"`

	extra   map[string]any
	headers http.Header
	cause   error
}

// New makes a problem. An empty code takes the status's own.
func New(status int, code, detail string) *Problem {
	if code == "" {
		code = codeOf(status)
	}
	return &Problem{
		Type: typePrefix + code, Title: http.StatusText(status), Status: status, Code: code, Detail: detail,
	}
}

// NotFound is a 404 of code not_found.
func NotFound(detail string) *Problem { return New(http.StatusNotFound, "", detail) }

// MalformedURL is the problem of a URL that is not UTF-8 text.
func MalformedURL() *Problem {
	return New(http.StatusBadRequest, "", "The URL is not valid UTF-8.")
}

// Conflict is a 409.
func Conflict(code, detail string) *Problem { return New(http.StatusConflict, code, detail) }

// Invalid is a 422 that names the invalid values.
func Invalid(fields ...FieldError) *Problem {
	p := New(http.StatusUnprocessableEntity, "", "The request has invalid values.")
	p.Errors = tidy(fields)
	return p
}

// Unauthenticated is a 401 with the challenge of RFC 6750, section 3: a request
// without a token is told the scheme, one with a bad token also the error.
func Unauthenticated(code, detail string) *Problem {
	challenge := "Bearer"
	if code == InvalidToken {
		challenge = `Bearer error="invalid_token"`
	}
	return New(http.StatusUnauthorized, code, detail).WithHeader("WWW-Authenticate", challenge)
}

// InvalidToken is the code of a 401 whose request had a token.
const InvalidToken = "invalid_token"

// Forbidden is a 403 of code forbidden.
func Forbidden(detail string) *Problem { return New(http.StatusForbidden, "", detail) }

// TooMany is a 429 with Retry-After.
func TooMany(code string, retryAfter time.Duration, detail string) *Problem {
	return New(http.StatusTooManyRequests, code, detail).withRetryAfter(retryAfter)
}

// Unavailable is a 503 with Retry-After.
func Unavailable(retryAfter time.Duration) *Problem {
	return New(http.StatusServiceUnavailable, "", "A dependency is temporarily unavailable. Retry later.").
		withRetryAfter(retryAfter)
}

// WithHeader adds a header to the answer.
func (p *Problem) WithHeader(name, value string) *Problem {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(name, value)
	return p
}

// With adds an extension member (RFC 9457, section 3.2). It may not take a name
// that a Problem already has.
func (p *Problem) With(name string, value any) *Problem {
	if p.extra == nil {
		p.extra = map[string]any{}
	}
	p.extra[name] = value
	return p
}

// Because gives the log a cause, which the client is not told.
func (p *Problem) Because(cause error) *Problem {
	p.cause = cause
	return p
}

// withRetryAfter rounds up to whole seconds (RFC 9110, section 10.2.3), at least 1.
func (p *Problem) withRetryAfter(d time.Duration) *Problem {
	seconds := max(1, int(math.Ceil(d.Seconds())))
	return p.WithHeader("Retry-After", strconv.Itoa(seconds))
}

// Cause is what a 5xx is about, for the log; nil when there is none.
func (p *Problem) Cause() error { return p.cause }

// Log says why the answer is a 5xx; of others it says nothing. What is away for a
// moment is a warning, what nobody foresaw is an error.
func (p *Problem) Log(ctx context.Context, log *slog.Logger) {
	if p.Status < http.StatusInternalServerError {
		return
	}
	level := slog.LevelError
	if p.Status == http.StatusServiceUnavailable {
		level = slog.LevelWarn
	}
	log.Log(ctx, level, "request failed", "status", p.Status, "code", p.Code, "error", p.cause)
}

// Error is for logs.
func (p *Problem) Error() string {
	text := strconv.Itoa(p.Status) + " " + p.Code
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

func (p *Problem) Unwrap() error { return p.cause }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return ContentType }

// TransformSchema implements huma.SchemaTransformer: extension members are allowed.
func (p *Problem) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.AdditionalProperties = true
	return s
}

// In returns p as the answer to the request at path under ctx: with its trace id
// and instance. p itself, which may be a shared value, stays as it is.
func (p *Problem) In(ctx context.Context, path string) *Problem {
	c := *p
	c.TraceID = telemetry.TraceID(ctx)
	c.Instance = clip(path)
	return &c
}

// MarshalJSON writes the extension members beside the others.
func (p *Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	body, err := json.Marshal((*plain)(p))
	if err != nil || len(p.extra) == 0 {
		return body, err
	}
	extra, err := json.Marshal(p.extra)
	if err != nil {
		return nil, err
	}
	return append(append(body[:len(body)-1], ','), extra[1:]...), nil
}

// Write answers a request with p, for handlers outside huma.
func Write(w http.ResponseWriter, r *http.Request, p *Problem) {
	maps.Copy(w.Header(), p.headers)
	w.Header().Set("Content-Type", ContentType)
	body, err := json.Marshal(p.In(r.Context(), r.URL.Path))
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}

var statusOf = map[failure.Kind]int{
	failure.KindInternal:        http.StatusInternalServerError,
	failure.KindInvalid:         http.StatusUnprocessableEntity,
	failure.KindUnauthenticated: http.StatusUnauthorized,
	failure.KindForbidden:       http.StatusForbidden,
	failure.KindNotFound:        http.StatusNotFound,
	failure.KindConflict:        http.StatusConflict,
	failure.KindStale:           http.StatusPreconditionFailed,
	failure.KindTooMany:         http.StatusTooManyRequests,
	failure.KindUnavailable:     http.StatusServiceUnavailable,
}

// From decides what a client is told about err. It is the only place where the
// kinds of package failure meet HTTP. A deadline that passed is a 503, for the
// same call may succeed later; anything unknown is a 500 that tells nothing.
func From(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var f *failure.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &f) && f.Kind != failure.KindInternal:
		return fromFailure(f, err)
	case errors.As(err, &large):
		return New(http.StatusRequestEntityTooLarge, "", fmt.Sprintf("The body exceeds the limit of %d bytes for this operation.", large.Limit))
	case errors.Is(err, context.DeadlineExceeded):
		p = New(http.StatusServiceUnavailable, "timeout", "The request timed out. Retry later.").withRetryAfter(time.Second)
	case errors.Is(err, context.Canceled):
		p = New(statusClientGone, "canceled", "The client closed the request.")
	default:
		p = New(http.StatusInternalServerError, "", "An internal error occurred. Include the traceId when you report it.")
	}
	p.cause = err
	return p
}

// statusClientGone is what logs and metrics show for a request whose client left;
// nobody reads the answer.
const statusClientGone = 499

func fromFailure(f *failure.Error, err error) *Problem {
	p := New(statusOf[f.Kind], f.Code, f.Detail)
	for _, field := range f.Fields {
		p.Errors = append(p.Errors, FieldError(field))
	}
	p.extra = f.Extra
	switch f.Kind {
	case failure.KindTooMany:
		p = p.withRetryAfter(f.RetryAfter)
	case failure.KindUnavailable:
		p = p.withRetryAfter(f.RetryAfter)
		p.cause = err
	case failure.KindUnauthenticated:
		p = p.WithHeader("WWW-Authenticate", "Bearer")
	}
	return p
}

var codes = map[int]string{
	http.StatusBadRequest:            "malformed_request",
	http.StatusUnauthorized:          "unauthenticated",
	http.StatusRequestEntityTooLarge: "body_too_large",
	http.StatusUnprocessableEntity:   failure.InvalidCode,
	http.StatusServiceUnavailable:    failure.UnavailableCode,
	http.StatusInternalServerError:   "internal",
	http.StatusPreconditionFailed:    "stale",
}

func codeOf(status int) string {
	if code, ok := codes[status]; ok {
		return code
	}
	if text := http.StatusText(status); text != "" {
		return strings.ReplaceAll(strings.ToLower(text), " ", "_")
	}
	return "error"
}

var _ interface {
	huma.StatusError
	huma.HeadersError
	huma.ContentTypeFilter
	huma.SchemaTransformer
} = (*Problem)(nil)

// Type of the schema a document refers to.
var schemaType = reflect.TypeFor[Problem]()

// Schema is a reference to the form of a problem, for documents.
func Schema(r huma.Registry) *huma.Schema { return r.Schema(schemaType, true, "Problem") }
