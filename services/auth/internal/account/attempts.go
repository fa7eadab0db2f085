package account

import (
	"crypto/sha256"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/uuid"

	"ecommerce-stack.dev/services/internal/clientaddr"
)

// Failed logins delay the next ones. The counts are such that only the client itself
// can delay a client that has logged in before, and that no single address can delay the
// others:
//
//   - A client with a valid device cookie for the account is counted by the cookie's
//     device id, and by nothing else (OWASP, "Slow Down Online Guessing Attacks with
//     Device Cookies").
//   - Any other client is counted per account and address. After the fifth failure in a
//     row each further one doubles the delay, from 1 s up to 1 min. An hour without a
//     failure, or a login, resets the count. One address gets about 1440 guesses a day.
//   - All clients without a cookie also share an allowance per account: 100 failures,
//     refilled by one every 15 s. Once it is used up, one attempt per 15 s is checked.
//     So an account is open to 5760 guesses a day, and 100 once, from however many
//     addresses. The allowance refills four times as fast as one address can fail. So
//     up to four addresses never use it up, and five need most of an hour. A larger
//     refill would need more addresses to delay an owner, and give all of them together
//     more guesses.
//   - Changing the password needs a token, so wrong current passwords are counted per
//     user, apart from logins, with the delays of one address.
//
// The price: an attack from five or more addresses can delay the owner on a new device,
// who then competes with the attacker for one attempt per 15 s. An IPv6 client is its
// /64, so an attacker with a larger prefix has many addresses.
//
// Refused attempts neither count nor prolong a delay, and a login never refills the
// shared allowance, or each login of the owner would give an attacker 100 more guesses.
const (
	freeFailures = 5
	firstWait    = time.Second
	longestWait  = time.Minute
	forgetAfter  = time.Hour

	sharedFailures = 100
	sharedRefill   = 15 * time.Second // the allowance is full again well before forgetAfter
)

// AttemptsKeptFor is how long a count can matter. Each failure writes at most two rows
// and costs one bcrypt comparison, and the gateway limits the logins of an address per
// minute, so that bounds the rows that exist at a time.
const AttemptsKeptFor = forgetAfter

// Attempts counts failed logins. Emails without an account are counted like others, so
// that responses do not reveal which emails have one.
type Attempts struct {
	Failures     int
	LastFailure  time.Time
	BlockedUntil time.Time
}

// Wait returns how long the next attempt has to wait, or 0.
func (a Attempts) Wait(now time.Time) time.Duration { return max(0, a.BlockedUntil.Sub(now)) }

// Counter identifies one count.
type Counter struct {
	// Key is a SHA-256 hash: people mistype their password into the field for the email.
	Key    [sha256.Size]byte
	shared bool
}

// loginCounters returns the counts that a login without a device cookie is subject to,
// the client's own first.
func loginCounters(email string, client netip.Addr) []Counter {
	return []Counter{
		{Key: counterKey("address", clientaddr.Subscriber(client).String(), email)},
		{Key: counterKey("account", "", email), shared: true},
	}
}

func deviceCounters(email string, device uuid.UUID) []Counter {
	return []Counter{{Key: counterKey("device", device.String(), email)}}
}

func passwordCounters(userID int64) []Counter {
	return []Counter{{Key: counterKey("password", strconv.FormatInt(userID, 10), "")}}
}

// counterKey is unambiguous because only the email, which comes last, can contain NUL.
func counterKey(kind, client, email string) [sha256.Size]byte {
	return sha256.Sum256([]byte(kind + "\x00" + client + "\x00" + email))
}

// Failed returns a after one more failure.
func (c Counter) Failed(a Attempts, now time.Time) Attempts {
	if now.Sub(a.LastFailure) > forgetAfter {
		a = Attempts{}
	}
	a.Failures++
	a.LastFailure = now
	switch {
	case c.shared:
		// BlockedUntil advances by one refill per failure and is never further in the past
		// than the allowance lasts.
		if full := now.Add((1 - sharedFailures) * sharedRefill); a.BlockedUntil.Before(full) {
			a.BlockedUntil = full
		}
		a.BlockedUntil = a.BlockedUntil.Add(sharedRefill)
	case a.Failures >= freeFailures:
		a.BlockedUntil = now.Add(min(longestWait, firstWait<<min(a.Failures-freeFailures, 6)))
	}
	return a
}
