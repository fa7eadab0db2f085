// Package deadletter holds the messages that a consumer refused, until a manager
// sends them again or deletes them.
package deadletter

import (
	"context"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/failure"
)

// MaxShown bytes of a letter's body are shown of it.
const MaxShown = 4 << 10

// Letter is a kept dead letter.
type Letter struct {
	event.DeadLetter
	ID     int64
	KeptAt time.Time
	// Size of the whole body in bytes; a list has at most MaxShown of them.
	Size int64
}

// ErrNotFound is returned for a letter that does not exist any more.
var ErrNotFound = failure.NotFound("dead_letter_not_found", "There is no such dead letter, or somebody has dealt with it.")

// Store keeps the letters.
type Store interface {
	// Letters lists those kept before the one with id before (0 for all), the newest
	// first, with the beginning of their bodies.
	Letters(ctx context.Context, before int64, limit int) ([]Letter, error)
	// Redrive gives the letter to send, and forgets it when that succeeds. It is sent
	// again if the answer of the database is lost.
	Redrive(ctx context.Context, id int64, send func(context.Context, event.DeadLetter) error) error
	Delete(ctx context.Context, id int64) error
}
