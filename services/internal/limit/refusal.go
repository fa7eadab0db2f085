package limit

import (
	"time"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/problem"
)

// retryConcurrent is the Retry-After of a client with too many long-running requests.
const retryConcurrent = 5 * time.Second

// TooMany returns the problem for a request above the rate limit.
func TooMany(retryAfter time.Duration) *problem.Problem {
	return problem.From(failure.TooMany("rate_limited", retryAfter, "Too many requests. Wait for the seconds in Retry-After before the next one."))
}

// TooManyConcurrent returns the problem for a long-running request above the limit of concurrent ones.
func TooManyConcurrent() *problem.Problem {
	return problem.From(failure.TooMany("too_many_streams", retryConcurrent,
		"Too many streams and waits at once. End one before starting the next."))
}
