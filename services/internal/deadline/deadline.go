// Package deadline defines the header by which the gateway tells a service until when
// the response to a request is awaited. A service does not start work, and does not
// commit, after that time: the client has been told by then that the request timed out.
//
// The time is absolute. A request can wait in the socket buffer of a stopped or
// overloaded process before it is read, so a relative timeout would start to run too
// late. The clocks of the gateway and of the services must therefore agree to within a
// second or two, as NTP keeps them; a difference lengthens or shortens the time that a
// service has.
//
// The gateway waits for the response for a grace period of 2 s beyond the deadline that it
// sends, so that a commit that began in time can still be reported.
package deadline

import (
	"strconv"
	"time"
)

// Header holds the deadline of a request as Unix time in milliseconds, in decimal.
const Header = "X-Request-Deadline"

// maxDigits is the length of the longest valid value, which is in the year 2286.
const maxDigits = 13

// Append appends the value of Header for t to dst. A fraction of a millisecond is cut off,
// so the value is never after t.
func Append(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.UnixMilli(), 10) }

// Format returns the value of Header for t.
func Format(t time.Time) string { return string(Append(make([]byte, 0, maxDigits), t)) }

// Parse returns the time, in UTC, that a value of Header stands for. It reports false
// unless the value is 1 to 13 digits.
func Parse(value string) (time.Time, bool) {
	if len(value) == 0 || len(value) > maxDigits {
		return time.Time{}, false
	}
	var ms int64
	for i := range len(value) {
		c := value[i]
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		ms = 10*ms + int64(c-'0')
	}
	return time.UnixMilli(ms).UTC(), true
}
