package sale

import (
	"context"
	"crypto/sha256"
	"time"

	"ecommerce-stack.dev/services/internal/failure"
)

// Repeats of one request.
const (
	// MaxKeyLength of an idempotency key, in bytes.
	MaxKeyLength = 255
	// KeyRetention is how long a key's answer is kept.
	KeyRetention = 24 * time.Hour
)

// Refusals of a repeated request.
var (
	ErrKeyReused = &failure.Error{Kind: failure.KindInvalid, Code: "idempotency_key_reused",
		Detail: "This Idempotency-Key was used with another body.",
		Fields: []failure.Field{{Location: "header.Idempotency-Key", Message: "was used with another body"}}}
	ErrKeyInUse = failure.Conflict("idempotency_in_progress", "A request with this Idempotency-Key is still running.")
)

// Request identifies a request that may be repeated: the customer's key and a hash
// of the body. Its zero value is never a repeat.
type Request struct {
	Key  string
	Body [sha256.Size]byte
	// RunningUntil is set when the request goes on after Create, at the latest until
	// then; a repeat meanwhile is ErrKeyInUse.
	RunningUntil *time.Time
}

// Filter narrows a list of sales, newest first.
type Filter struct {
	CustomerID int64 // 0 for all
	Status     Status
	Before     int64 // an id; 0 for the first page
	Limit      int
}

// Store keeps sales. A method that names a customer finds only that customer's
// sales, and ErrNotFound otherwise.
type Store interface {
	// Create commits the sale with its event and the request's answer; for a repeat
	// it returns the sale as the first request was answered, and true.
	Create(ctx context.Context, s Sale, r Request) (Sale, bool, error)
	// Answered ends a request that ran on, with the sale as its answer.
	Answered(ctx context.Context, s Sale, r Request) error
	Sale(ctx context.Context, id, customerID int64) (Sale, error)
	Sales(ctx context.Context, f Filter) ([]Sale, error)
	Confirm(ctx context.Context, id, customerID int64) (Sale, error)
	Cancel(ctx context.Context, id, customerID int64) error
	Timeline(ctx context.Context, id, customerID, after int64, limit int) ([]Entry, error)
}
