// Package failure implements the errors of a domain that a caller can act on. It does not
// depend on HTTP, SQL or AMQP: package problem maps a Kind to an HTTP status, and a consumer
// maps it to a retry or a dead letter.
package failure

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the class of an Error, by what the caller can do about it.
type Kind uint8

// The kinds. KindInternal, the zero value, is an error that no caller can act on.
const (
	KindInternal        Kind = iota
	KindInvalid              // a value is invalid: change it
	KindUnauthenticated      // the credentials are missing or wrong
	KindForbidden            // the caller lacks the permission
	KindNotFound             // the resource does not exist, or belongs to another user
	KindConflict             // the state of the resource does not allow the operation
	KindStale                // the caller's version is out of date
	KindTooMany              // too many requests: retry after RetryAfter
	KindUnavailable          // a dependency is unavailable: retry after RetryAfter
)

// Field is an invalid value. Location is a path such as "body.price" or "query.cursor".
// Message states the rule, without a secret value.
type Field struct {
	Location string
	Message  string
}

// Error is a classified error.
type Error struct {
	Kind Kind
	// Code is a stable snake_case name for clients to decide by.
	Code string
	// Detail is a sentence for people: what is wrong, and what to do.
	Detail string
	// Fields is set if Kind is KindInvalid.
	Fields []Field
	// RetryAfter is set if Kind is KindTooMany or KindUnavailable, or if a KindConflict ends by itself.
	RetryAfter time.Duration
	// Extra has further values for the caller, such as {"available": 3}.
	Extra map[string]any
	// Err is the cause. It is logged, and not shown to callers.
	Err error
}

// Error returns the code, the invalid values, and the cause or else the detail, for logs.
func (e *Error) Error() string {
	text := e.Code
	if e.Detail != "" && e.Err == nil {
		text += ": " + e.Detail
	}
	for _, f := range e.Fields {
		text += " (" + f.Location + ": " + f.Message + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an Error of the same Kind and Code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Code == e.Code
}

// With returns a copy of e with a further value in Extra.
func (e *Error) With(name string, value any) *Error {
	c := *e
	c.Extra = make(map[string]any, len(e.Extra)+1)
	for k, v := range e.Extra {
		c.Extra[k] = v
	}
	c.Extra[name] = value
	return &c
}

// NotFound returns an error of KindNotFound.
func NotFound(code, format string, args ...any) *Error {
	return &Error{Kind: KindNotFound, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Conflict returns an error of KindConflict.
func Conflict(code, format string, args ...any) *Error {
	return &Error{Kind: KindConflict, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Stale returns an error of KindStale.
func Stale(code, format string, args ...any) *Error {
	return &Error{Kind: KindStale, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Forbidden returns an error of KindForbidden.
func Forbidden(code, format string, args ...any) *Error {
	return &Error{Kind: KindForbidden, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Unauthenticated returns an error of KindUnauthenticated.
func Unauthenticated(code, format string, args ...any) *Error {
	return &Error{Kind: KindUnauthenticated, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// InvalidCode is the code of Invalid and InvalidFields.
const InvalidCode = "invalid_request"

// Invalid returns an error of KindInvalid for the value at location, whose message states
// the rule.
func Invalid(location, format string, args ...any) *Error {
	return InvalidFields(Field{Location: location, Message: fmt.Sprintf(format, args...)})
}

// InvalidFields returns an error of KindInvalid for any number of values.
func InvalidFields(fields ...Field) *Error {
	return &Error{Kind: KindInvalid, Code: InvalidCode, Detail: "The request has invalid values. Correct them and try again.", Fields: fields}
}

// TooMany returns an error of KindTooMany.
func TooMany(code string, retryAfter time.Duration, format string, args ...any) *Error {
	return &Error{Kind: KindTooMany, Code: code, Detail: fmt.Sprintf(format, args...), RetryAfter: retryAfter}
}

// UnavailableCode is the code of Unavailable.
const UnavailableCode = "unavailable"

// Unavailable returns an error of KindUnavailable. The cause, which may be nil, is logged.
func Unavailable(retryAfter time.Duration, cause error) *Error {
	return &Error{
		Kind: KindUnavailable, Code: UnavailableCode, RetryAfter: retryAfter, Err: cause,
		Detail: "A dependency is temporarily unavailable. Retry later.",
	}
}

// KindOf returns the Kind of the first Error in err's tree, or KindInternal if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
