package sale

import (
	"context"
	"crypto/sha256"
	"time"
)

// Request identifies a request that may be repeated. Its zero value has no key and is never
// a repeat.
type Request struct {
	Key      string
	BodyHash [sha256.Size]byte
	// RunningUntil is not nil when the request continues after Create. Until that time, or
	// until CompleteRequest, Create returns idempotency.ErrKeyInUse for a repeat.
	RunningUntil *time.Time
}

// Filter selects the sales of a list. Zero fields, except Limit, select all.
type Filter struct {
	CustomerID int64 // 0 for all
	Status     Status
	Before     int64 // lists sales with smaller ids; 0 for the first page
	Limit      int
}

// Store stores sales. All methods return a *failure.Error of kind KindUnavailable while the
// database is unavailable. A method with a customerID finds only the sales of that customer.
type Store interface {
	// Create commits a sale with its SaleCreated event and the response to the request. For a
	// repeat it returns the sale of the first response, and true. It returns
	// idempotency.ErrKeyReused when the key was used with another body, ErrKeyInUse while the first request is running, and
	// context.DeadlineExceeded when the deadline of ctx passed before the commit.
	Create(ctx context.Context, s Sale, r Request) (Sale, bool, error)
	// CompleteRequest stores the response to a request with RunningUntil.
	CompleteRequest(ctx context.Context, s Sale, r Request) error
	// Sale returns a sale of a customer, or of any customer if customerID is 0. It returns
	// ErrNotFound if there is none.
	Sale(ctx context.Context, id, customerID int64) (Sale, error)
	// Sales returns a page of sales, the newest first.
	Sales(ctx context.Context, f Filter) ([]Sale, error)
	// Confirm confirms a hold. It returns ErrNotFound, ErrNotPending when the sale is
	// decided, ErrNotReserved until its stock is reserved, and context.DeadlineExceeded when
	// the deadline of ctx passed before the commit.
	Confirm(ctx context.Context, id, customerID int64) (Sale, error)
	// Cancel cancels a pending sale. It does nothing when the sale is canceled already. It
	// returns ErrNotFound, ErrNotPending when the sale is otherwise decided, and
	// context.DeadlineExceeded when the deadline of ctx passed before the commit.
	Cancel(ctx context.Context, id, customerID int64) error
	// Timeline returns up to limit entries of the timeline of a sale with ids above after,
	// the oldest first. It returns ErrNotFound.
	Timeline(ctx context.Context, id, customerID, after int64, limit int) ([]Entry, error)
}
