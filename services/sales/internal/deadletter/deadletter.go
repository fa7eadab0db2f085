// Package deadletter defines the dead letters that are stored until a manager redrives or
// deletes them.
package deadletter

import (
	"context"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/failure"
)

// MaxBodyShown is the maximum length of a body in a list, in bytes.
const MaxBodyShown = 4 << 10

// MaxBodyStored is the maximum length of a stored body, in bytes: that of an event. A message
// that is larger, from another program, could exceed the largest statement of the database.
const MaxBodyStored = event.MaxBytes

// DeadLetter is a stored dead letter.
type DeadLetter struct {
	event.DeadLetter
	ID       int64
	StoredAt time.Time
	// Size is the length of the complete body in bytes. Body may be shorter in a list.
	Size int64
	// Incomplete reports whether only the first MaxBodyStored bytes are stored.
	Incomplete bool
}

// ErrNotFound is returned for a dead letter that does not exist.
var ErrNotFound = failure.NotFound("dead_letter_not_found", "Dead letter not found. It may have been redriven or deleted.")

// ErrIncomplete is returned for a dead letter that cannot be redriven.
var ErrIncomplete = failure.Conflict("dead_letter_incomplete",
	"Only the first 64 KiB of the message are stored, so it cannot be redriven. Delete it.")

// MaxRedriven is the maximum number of dead letters that one request redrives.
const MaxRedriven = 500

// Filter selects dead letters. A field with the zero value selects all.
type Filter struct {
	Queue, Type, Reason string
	// DiedBefore and DiedAfter limit the time at which the message was rejected.
	DiedBefore, DiedAfter time.Time
}

// Store stores dead letters. All methods return a *failure.Error of kind KindUnavailable
// while the database is unavailable.
type Store interface {
	// DeadLetters returns up to limit dead letters with ids below before (0 for all), the
	// newest first. Their bodies are truncated to MaxBodyShown bytes.
	DeadLetters(ctx context.Context, before int64, limit int) ([]DeadLetter, error)
	// Find returns the ids of up to limit dead letters that can be redriven and match a filter, the
	// oldest first, with the number of those before the last one that match but are incomplete.
	Find(ctx context.Context, f Filter, limit int) (ids []int64, incomplete int, err error)
	// Redrive calls send with a dead letter, and deletes it when send succeeds. It may call
	// send again when the connection to the database is lost. It returns ErrNotFound,
	// ErrIncomplete and the errors of send.
	Redrive(ctx context.Context, id int64, send func(context.Context, event.DeadLetter) error) error
	// Delete deletes a dead letter. It returns ErrNotFound.
	Delete(ctx context.Context, id int64) error
}
