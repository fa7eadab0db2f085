package account

import (
	"crypto/sha256"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/uuid"

	"ecommerce-stack.dev/services/internal/clientaddr"
)

// Failed logins delay the next ones. The counters ensure that other clients cannot delay one that
// has logged in before, and that no single address can delay others:
//
//   - A client with a valid device cookie for the account is counted only per device id of
//     the cookie (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
//   - Any other client is counted per account and address. The fifth failure in a row causes
//     a delay of 1 s, and each further one doubles it, up to 1 min. A successful login, or an
//     hour without a failure, resets the count. One address gets about 1440 guesses a day.
//   - All clients without a cookie also share an allowance per account: 100 failures,
//     refilled by one every 15 s. Once it is used up, one attempt per 15 s is checked.
//     All addresses together therefore get 5760 guesses a day, and 100 once. The allowance
//     refills four times as fast as one address can fail: up to four addresses never use
//     it up, and five need most of an hour. With a faster refill, an attacker would need
//     more addresses to delay the owner, but would get more guesses.
//   - A change of the password requires a token. Wrong current passwords are counted per
//     user, separately from logins, with the delays of one address.
//
// The drawback: an attack from five or more addresses can delay the owner on a new device,
// who then competes with the attacker for one attempt per 15 s. An IPv6 client is counted per
// /64, so an attacker with a larger prefix has many addresses.
//
// Rejected attempts neither count nor extend a delay. A login does not refill the shared
// allowance, because each login of the owner would give an attacker 100 more guesses.
const (
	firstDelayedFailure = 5
	minDelay            = time.Second
	maxDelay            = time.Minute

	sharedAllowance      = 100
	sharedRefillInterval = 15 * time.Second // the allowance is full again well before AttemptsTTL
)

// AttemptsTTL is the time after its last failure for which a count has an effect. Each failure
// writes at most two rows and costs one bcrypt comparison, and the gateway limits the logins per
// address, which bounds the number of rows.
const AttemptsTTL = time.Hour

// Attempts is a count of failed logins. Emails without an account are counted like others, so
// that responses do not reveal which emails have one.
type Attempts struct {
	Failures     int
	LastFailure  time.Time
	BlockedUntil time.Time
}

// Delay returns the time until the next attempt is checked, or 0.
func (a Attempts) Delay(now time.Time) time.Duration { return max(0, a.BlockedUntil.Sub(now)) }

// Counter identifies a count of failed logins.
type Counter struct {
	// Key is a SHA-256 hash, because users may enter their password as the email.
	Key    [sha256.Size]byte
	shared bool
}

// loginCounters returns the counters of a login without a device cookie: that of the client, and
// the shared one.
func loginCounters(email string, client netip.Addr) []Counter {
	return []Counter{
		{Key: counterKey("address", clientaddr.Subscriber(client).String(), email)},
		{Key: counterKey("account", "", email), shared: true},
	}
}

// deviceCounters returns the counter of a login with a device cookie.
func deviceCounters(email string, device uuid.UUID) []Counter {
	return []Counter{{Key: counterKey("device", device.String(), email)}}
}

// passwordChangeCounters returns the counter of changes of a password.
func passwordChangeCounters(userID int64) []Counter {
	return []Counter{{Key: counterKey("password", strconv.FormatInt(userID, 10), "")}}
}

// counterKey returns the key of a counter. It is unambiguous, because only the email, which comes
// last, can contain NUL.
func counterKey(kind, client, email string) [sha256.Size]byte {
	return sha256.Sum256([]byte(kind + "\x00" + client + "\x00" + email))
}

// AddFailure returns a after one more failure.
func (c Counter) AddFailure(a Attempts, now time.Time) Attempts {
	if now.Sub(a.LastFailure) > AttemptsTTL {
		a = Attempts{}
	}
	a.Failures++
	a.LastFailure = now
	switch {
	case c.shared:
		// BlockedUntil advances by one refill per failure and is never further in the past
		// than the allowance lasts.
		if full := now.Add((1 - sharedAllowance) * sharedRefillInterval); a.BlockedUntil.Before(full) {
			a.BlockedUntil = full
		}
		a.BlockedUntil = a.BlockedUntil.Add(sharedRefillInterval)
	case a.Failures >= firstDelayedFailure:
		a.BlockedUntil = now.Add(min(maxDelay, minDelay<<min(a.Failures-firstDelayedFailure, 6)))
	}
	return a
}
