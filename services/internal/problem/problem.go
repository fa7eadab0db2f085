// Package problem implements the error responses of the HTTP APIs: problem details (RFC 9457)
// with a stable code, the trace id, and the invalid values.
//
// A handler returns any error, and From makes its response. The domain's errors are those of
// package failure; New is for errors of HTTP itself. An unclassified error becomes a 500 whose
// cause is logged and not sent. Importing the package gives huma's errors the same form.
package problem

import (
	"context"
	"encoding/json"
	"errors"
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

// ContentType is the media type of a problem (RFC 9457, section 3).
const ContentType = "application/problem+json"

// typePrefix, followed by the code, is the type of a problem (RFC 9457, section 3.1.1).
const typePrefix = "urn:ecommerce-stack:problem:"

// FieldError is an invalid value of a request.
type FieldError struct {
	Location string `json:"location" doc:"Where the value is, such as body.items[0].quantity or query.limit" example:"body.price"`
	Message  string `json:"message" doc:"The rule that it violates" example:"expected number >= 0"`
}

// Problem is an error response.
type Problem struct {
	Type     string       `json:"type" doc:"URI that identifies the kind of problem" example:"urn:ecommerce-stack:problem:not_found"`
	Title    string       `json:"title" doc:"Short summary of the kind" example:"Not Found"`
	Status   int          `json:"status" doc:"HTTP status" example:"404"`
	Detail   string       `json:"detail,omitempty" doc:"What is wrong with this request" example:"Product 7 does not exist."`
	Instance string       `json:"instance,omitempty" doc:"Path of the request" example:"/products/7"`
	Code     string       `json:"code" doc:"Stable name of the kind of problem, for programs" example:"not_found"`
	TraceID  string       `json:"traceId,omitempty" doc:"Trace of the request, to include in a report" example:"0af7651916cd43dd8448eb211c80319c"`
	Errors   []FieldError `json:"errors,omitempty" doc:"The invalid values"`

	extra   map[string]any // extension members (RFC 9457, section 3.2), which have other names than the above
	headers http.Header
	cause   error
}

// New returns a problem. An empty code stands for the default code of the status.
func New(status int, code, detail string) *Problem {
	if code == "" {
		code = defaultCode(status)
	}
	return &Problem{
		Type: typePrefix + code, Title: http.StatusText(status), Status: status, Code: code, Detail: detail,
	}
}

// MalformedURL returns the problem of a URL with an invalid percent-encoding, or with NUL.
func MalformedURL() *Problem {
	return New(http.StatusBadRequest, "", "The URL has an invalid percent-encoding, or NUL. Correct it and try again.")
}

// UnsupportedCoding returns the problem of a body with a content coding (RFC 9110, section 15.5.16).
func UnsupportedCoding() *Problem {
	return New(http.StatusUnsupportedMediaType, "unsupported_content_encoding",
		"The Content-Encoding is not supported. Send the body without one.").WithHeader("Accept-Encoding", "identity")
}

// NotUTF8 is the message of an error in a body for which InvalidUTF8 is the problem.
const NotUTF8 = "is not UTF-8"

// InvalidUTF8 returns the problem of text in a URL or a body that is not UTF-8 (RFC 8259, section
// 8.1).
func InvalidUTF8() *Problem {
	return New(http.StatusBadRequest, "invalid_utf8", "The request has text that is not valid UTF-8. Encode it as UTF-8.")
}

// InvalidToken is the code of a 401 for a request that has a token.
const InvalidToken = "invalid_token"

// TooMany returns the problem of a request above the rate limit.
func TooMany(retryAfter time.Duration) *Problem {
	return From(failure.TooMany("rate_limited", retryAfter, "Too many requests. Wait for the seconds in Retry-After before the next one."))
}

// retryConcurrent is the Retry-After of a client with too many long-running requests.
const retryConcurrent = 5 * time.Second

// TooManyConcurrent returns the problem of a long-running request above the limit of concurrent ones.
func TooManyConcurrent() *Problem {
	return From(failure.TooMany("too_many_streams", retryConcurrent, "Too many streams and waits at once. End one before starting the next."))
}

// challenge returns the WWW-Authenticate of a 401 (RFC 6750, section 3). It has an error only
// if the request has a token.
func challenge(code string) string {
	if code == InvalidToken {
		return `Bearer error="invalid_token"`
	}
	return "Bearer"
}

// WithHeader sets a header field of the response, and returns p.
func (p *Problem) WithHeader(name, value string) *Problem {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(name, value)
	return p
}

// withRetryAfter sets Retry-After to d, rounded up to whole seconds (RFC 9110, section 10.2.3),
// at least 1.
func (p *Problem) withRetryAfter(d time.Duration) *Problem {
	seconds := max(1, int(math.Ceil(d.Seconds())))
	return p.WithHeader("Retry-After", strconv.Itoa(seconds))
}

// Log logs the cause of a 5xx, and nothing for other statuses: a 503 as a warning, because the
// client can retry, and others as errors.
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

// Error returns the status, the code and the cause, for logs.
func (p *Problem) Error() string {
	text := strconv.Itoa(p.Status) + " " + p.Code
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

// Unwrap returns the cause, or nil.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return ContentType }

// TransformSchema implements huma.SchemaTransformer. It allows extension members.
func (p *Problem) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.AdditionalProperties = true
	return s
}

// ForRequest returns a copy of p with the trace id of ctx, and with path as its instance. It does
// not change p, which may be shared.
func (p *Problem) ForRequest(ctx context.Context, path string) *Problem {
	c := *p
	c.TraceID = telemetry.TraceID(ctx)
	c.Instance = truncate(path)
	return &c
}

// MarshalJSON implements json.Marshaler. Extension members are on the same level as the others.
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

// Write writes p as the response to r, for handlers outside huma.
func Write(w http.ResponseWriter, r *http.Request, p *Problem) {
	maps.Copy(w.Header(), p.headers)
	w.Header().Set("Content-Type", ContentType)
	body, err := json.Marshal(p.ForRequest(r.Context(), r.URL.Path))
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may have closed the connection
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

// From returns the response to err. It is the only place that maps the kinds of package failure
// to HTTP. A Problem in err's tree is returned as it is. An exceeded deadline is a 503, because
// the request may succeed later. An unclassified error is a 500 without details.
func From(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var f *failure.Error
	var body *http.MaxBytesError
	switch {
	case errors.As(err, &f) && f.Kind != failure.KindInternal:
		return fromFailure(f, err)
	case errors.As(err, &body):
		return bodyTooLarge(body.Limit)
	case errors.Is(err, context.DeadlineExceeded):
		p = New(http.StatusServiceUnavailable, "timeout", "The request timed out. Retry later.").withRetryAfter(time.Second)
	case errors.Is(err, context.Canceled):
		p = New(statusClientClosedRequest, "canceled", "The client closed the request.")
	default:
		p = New(http.StatusInternalServerError, "", "An internal error occurred. Include the traceId when you report it.")
	}
	p.cause = err
	return p
}

// statusClientClosedRequest is the status in logs and metrics of a request whose client closed
// the connection. It is never sent. nginx introduced it.
const statusClientClosedRequest = 499

func fromFailure(f *failure.Error, err error) *Problem {
	p := New(statusOf[f.Kind], f.Code, f.Detail)
	for _, field := range f.Fields {
		p.Errors = append(p.Errors, FieldError(field))
	}
	p.extra = f.Extra
	switch f.Kind {
	case failure.KindConflict:
		if f.RetryAfter > 0 {
			p = p.withRetryAfter(f.RetryAfter)
		}
	case failure.KindTooMany:
		p = p.withRetryAfter(f.RetryAfter)
	case failure.KindUnavailable:
		p = p.withRetryAfter(f.RetryAfter)
		p.cause = err
	case failure.KindUnauthenticated:
		p = p.WithHeader("WWW-Authenticate", challenge(f.Code))
	}
	return p
}

// bodyTooLarge returns the problem of a body over a limit in bytes; 0 stands for an unknown one.
func bodyTooLarge(limit int64) *Problem {
	detail := "The body exceeds the size limit. Send a smaller one."
	if limit > 0 {
		detail = "The body exceeds the limit of " + byteSize(limit) + " for this operation. Send a smaller one."
	}
	return New(http.StatusRequestEntityTooLarge, "", detail)
}

// byteSize returns n bytes in the largest binary unit that has no fraction.
func byteSize(n int64) string {
	switch {
	case n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// defaultCodes has the codes of statuses whose text is not one.
var defaultCodes = map[int]string{
	http.StatusBadRequest:            "malformed_request",
	http.StatusUnauthorized:          "unauthenticated",
	http.StatusRequestEntityTooLarge: "body_too_large",
	http.StatusUnprocessableEntity:   failure.InvalidCode,
	http.StatusServiceUnavailable:    failure.UnavailableCode,
	http.StatusInternalServerError:   "internal",
	http.StatusPreconditionFailed:    "stale",
}

// defaultCode returns the code of a status: its text in snake_case, unless defaultCodes has one.
func defaultCode(status int) string {
	if code, ok := defaultCodes[status]; ok {
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

var schemaType = reflect.TypeFor[Problem]()

// Schema returns a reference to the schema of a Problem in the OpenAPI document of r.
func Schema(r huma.Registry) *huma.Schema { return r.Schema(schemaType, true, "Problem") }
