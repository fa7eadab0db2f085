// Package deadline implements the header with which the gateway sends the deadline of a request to
// a service. A service does not start work, and does not commit, after the deadline, because the
// gateway then responds that the request timed out.
//
// The time is absolute. A request can wait in the socket buffer of a stopped or overloaded process
// before it is read, and a relative timeout would start too late. The clocks of the gateway and of
// the services must therefore agree to within a second or two, as with NTP; a difference lengthens
// or shortens the time that a service has.
//
// The gateway waits for the response for a grace period of 2 s after the deadline that it sends, so
// that a commit that began in time can still be reported.
package deadline

import (
	"strconv"
	"time"
)

// Header is the header field with the deadline of a request, as Unix time in milliseconds, in decimal.
const Header = "X-Request-Deadline"

// maxDigits is the length of the longest valid value, which is a time in the year 2286.
const maxDigits = 13

// Append appends the value of Header for t to dst. It rounds down to milliseconds, so the value is
// not after t.
func Append(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.UnixMilli(), 10) }

// Format returns the value of Header for t.
func Format(t time.Time) string { return string(Append(make([]byte, 0, maxDigits), t)) }

// Parse returns the time, in UTC, of a value of Header. It reports false unless the value has 1 to 13
// digits.
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
