package account

import (
	"crypto/sha256"
	"time"
)

// How failed logins slow an account down. After the fifth failure in a row each
// further one doubles the wait, up to a minute: a guesser gets 1440 tries a day,
// and the owner is never more than a minute away. Tries during a wait neither count
// nor lengthen it. After an hour without a failure all is forgotten.
const (
	freeFailures = 5
	firstWait    = time.Second
	longestWait  = time.Minute
	forgetAfter  = time.Hour
)

// Attempts counts the failed logins of one email address, whether it has an account
// or not: or the answers would tell which have.
type Attempts struct {
	Failures     int
	LastFailure  time.Time
	BlockedUntil time.Time
}

// Wait is how long the next try has to wait, or 0.
func (a Attempts) Wait(now time.Time) time.Duration { return max(0, a.BlockedUntil.Sub(now)) }

// Failed counts one more failure.
func (a Attempts) Failed(now time.Time) Attempts {
	if now.Sub(a.LastFailure) > forgetAfter {
		a = Attempts{}
	}
	a.Failures++
	a.LastFailure = now
	if over := a.Failures - freeFailures; over >= 0 {
		wait := longestWait
		if over < 6 {
			wait = firstWait << over
		}
		a.BlockedUntil = now.Add(wait)
	}
	return a
}

// AttemptsKey is how attempts on an email are kept: hashed, for people mistype
// their password into the field for the email.
func AttemptsKey(email string) []byte {
	sum := sha256.Sum256([]byte(NormalEmail(email)))
	return sum[:]
}

// AttemptsKeptFor is how long a count can matter.
const AttemptsKeptFor = forgetAfter
