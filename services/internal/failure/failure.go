// Package failure classifies what can go wrong in a domain, in the domain's words:
// it knows no HTTP, SQL or AMQP. Each border maps a Kind once: package problem to
// an HTTP status, a consumer to retry or dead-letter.
package failure

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what the caller can do about a failure.
type Kind uint8

// The kinds. Internal, the zero Kind, is a fault of ours that no caller can act on.
const (
	KindInternal        Kind = iota
	KindInvalid              // a value breaks a rule: change it
	KindUnauthenticated      // credentials are wrong
	KindForbidden            // the caller may not do this
	KindNotFound             // unknown, or not the caller's
	KindConflict             // the state does not allow it
	KindStale                // the caller's version is out of date
	KindTooMany              // too often: wait RetryAfter
	KindUnavailable          // a dependency is temporarily unavailable: wait RetryAfter
)

// Field names a value that breaks a rule. Location is a path such as "body.price"
// or "query.cursor"; Message states the rule, never a secret value.
type Field struct {
	Location string
	Message  string
}

// Error is a classified failure.
type Error struct {
	Kind Kind
	// Code is stable and snake_case: clients decide by it.
	Code string
	// Detail is a sentence for the person who reads it.
	Detail string
	// Fields are set when Kind is KindInvalid.
	Fields []Field
	// RetryAfter is set when Kind is KindTooMany or KindUnavailable.
	RetryAfter time.Duration
	// Extra is said to the caller beside the rest, such as {"available": 3}.
	Extra map[string]any
	// Err is the cause. It is logged, never shown.
	Err error
}

func (e *Error) Error() string {
	text := e.Code
	if e.Detail != "" {
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

func (e *Error) Unwrap() error { return e.Err }

// Is lets errors.Is compare with a sentinel made by this package: same Kind, same
// Code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Code == e.Code
}

// With returns a copy that also tells the caller name and value.
func (e *Error) With(name string, value any) *Error {
	c := *e
	c.Extra = make(map[string]any, len(e.Extra)+1)
	for k, v := range e.Extra {
		c.Extra[k] = v
	}
	c.Extra[name] = value
	return &c
}

// NotFound says that what was asked for does not exist or is not the caller's.
func NotFound(code, format string, args ...any) *Error {
	return &Error{Kind: KindNotFound, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Conflict says that the state does not allow it.
func Conflict(code, format string, args ...any) *Error {
	return &Error{Kind: KindConflict, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Stale says that the caller's version is out of date.
func Stale(code, format string, args ...any) *Error {
	return &Error{Kind: KindStale, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Forbidden says that the caller may not do this, whatever the state.
func Forbidden(code, format string, args ...any) *Error {
	return &Error{Kind: KindForbidden, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Unauthenticated says that credentials are wrong.
func Unauthenticated(code, format string, args ...any) *Error {
	return &Error{Kind: KindUnauthenticated, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// InvalidCode is the code of Invalid.
const InvalidCode = "invalid_request"

// Invalid says that the value at location breaks the rule in the message.
func Invalid(location, format string, args ...any) *Error {
	return InvalidFields(Field{Location: location, Message: fmt.Sprintf(format, args...)})
}

// InvalidFields is Invalid for several values at once.
func InvalidFields(fields ...Field) *Error {
	return &Error{Kind: KindInvalid, Code: InvalidCode, Detail: "The request has invalid values.", Fields: fields}
}

// TooMany says that the caller must wait before the next try.
func TooMany(code string, retryAfter time.Duration, format string, args ...any) *Error {
	return &Error{Kind: KindTooMany, Code: code, Detail: fmt.Sprintf(format, args...), RetryAfter: retryAfter}
}

// UnavailableCode is the code of Unavailable.
const UnavailableCode = "unavailable"

// Unavailable reports that a dependency is temporarily unavailable. cause is logged.
func Unavailable(retryAfter time.Duration, cause error) *Error {
	return &Error{
		Kind: KindUnavailable, Code: UnavailableCode, RetryAfter: retryAfter, Err: cause,
		Detail: "A dependency is temporarily unavailable. Retry later.",
	}
}

// KindOf finds the classification in err's tree; KindInternal when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
