// Package idempotency implements what the operations share that a client may repeat with an
// Idempotency-Key: the header field, the identity of a request, and the errors. The stores commit
// the response to a request in the transaction of its effects; see database.Once.
package idempotency

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"ecommerce-stack.dev/services/internal/failure"
)

// Retention is how long the response to a request with a key is stored.
const Retention = 24 * time.Hour

// Errors of repeated requests.
var (
	ErrKeyReused = &failure.Error{Kind: failure.KindInvalid, Code: "idempotency_key_reused",
		Detail: "This Idempotency-Key was used with another request. Use a new key for each one.",
		Fields: []failure.Field{{Location: "header.Idempotency-Key", Message: "was used with another request"}}}
	ErrKeyInUse = &failure.Error{Kind: failure.KindConflict, Code: "idempotency_in_progress", RetryAfter: time.Second,
		Detail: "A request with this Idempotency-Key is still running. Retry after the seconds in Retry-After."}
)

// Header is the header field of an operation that may be repeated.
type Header struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"Makes it safe to repeat the request for 24 hours" example:"0b9f6c1e-order-1"`
}

// Request identifies a request that may be repeated. The zero value has no key and is never a repeat.
type Request struct {
	// CallerID is the user; keys of different users are independent.
	CallerID int64
	// Key and Body are hashes. Body is that of the operation and its normalized input, so that a
	// repeat may be formatted differently.
	Key, Body [sha256.Size]byte
}

// Request returns the Request of an operation and its normalized input, or the zero value without a
// key. It returns an error if the input cannot be encoded.
func (h Header) Request(callerID int64, operation string, input any) (Request, error) {
	if h.Key == "" {
		return Request{}, nil
	}
	body, err := json.Marshal([]any{operation, input})
	if err != nil {
		return Request{}, fmt.Errorf("hash a request: %w", err)
	}
	return Request{CallerID: callerID, Key: sha256.Sum256([]byte(h.Key)), Body: sha256.Sum256(body)}, nil
}

// IsZero reports whether r has no key.
func (r Request) IsZero() bool { return r == Request{} }

// Replayed returns the value of the header field Idempotent-Replayed.
func Replayed(replayed bool) string {
	if replayed {
		return "true"
	}
	return ""
}
