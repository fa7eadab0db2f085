package limit

import (
	"time"

	"ecommerce-stack.dev/services/internal/problem"
)

// retryHeld is how long a caller of too many long calls is told to wait.
const retryHeld = 5 * time.Second

// TooFast refuses a call that came too early.
func TooFast(retryAfter time.Duration) *problem.Problem {
	return problem.TooMany("rate_limited", retryAfter, "Too many requests. Wait before the next one.")
}

// TooManyHeld refuses one more long call.
func TooManyHeld() *problem.Problem {
	return problem.TooMany("too_many_streams", retryHeld, "Too many streams and waits at once. End one before the next.")
}
