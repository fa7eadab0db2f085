// Package password implements the hashing of passwords with bcrypt, with bounded concurrency:
// hashing is slow by design, and a burst of logins would otherwise use all processors.
package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/text"
)

// Limits of a password in bytes. bcrypt reads only the first 72 bytes, so a longer password is
// rejected.
const (
	MinBytes = 8
	MaxBytes = 72
)

// Limits of the bcrypt cost. Each step doubles the work.
const (
	MinCost = bcrypt.MinCost
	MaxCost = bcrypt.MaxCost
)

// queuePerSlot is the number of callers that may wait for each slot. At cost 12 the last of them
// waits about eight seconds.
const queuePerSlot = 32

// retryAfter is the time after which to retry if the queue is full.
const retryAfter = 2 * time.Second

// Hasher hashes and compares passwords. It is safe for concurrent use.
type Hasher struct {
	cost    int
	slots   chan struct{}
	waiting atomic.Int64
	dummy   []byte // no password has this hash
	seconds prometheus.Histogram
}

// NewHasher returns a Hasher with a bcrypt cost, for at most concurrency operations at a time, and
// registers its metrics with reg.
func NewHasher(cost, concurrency int, reg prometheus.Registerer) (*Hasher, error) {
	// A salt of 22 and a hash of 31 characters. To compute a hash would delay the start by the time of a login, on a
	// small share of a processor by seconds.
	dummy := fmt.Appendf(nil, "$2a$%02d$%.53s", cost, rand.Text()+rand.Text()+rand.Text())
	if _, err := bcrypt.Cost(dummy); err != nil {
		return nil, fmt.Errorf("hash at cost %d: %w", cost, err)
	}
	h := &Hasher{
		cost: cost, slots: make(chan struct{}, concurrency), dummy: dummy,
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "auth_password_hash_seconds", Help: "Duration of a bcrypt operation, without the wait for a slot.",
			Buckets: []float64{.001, .01, .05, .1, .2, .3, .5, 1, 2},
		}),
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "auth_password_hash_waiting", Help: "Callers that wait for a slot to hash a password.",
	}, func() float64 { return float64(h.waiting.Load()) })
	reg.MustRegister(h.seconds, waiting)
	return h, nil
}

// Slot permits its holder to hash, until Release.
type Slot struct{ h *Hasher }

// Acquire waits for a slot. It returns an error of failure.KindUnavailable if the queue is full, or
// that of ctx.
func (h *Hasher) Acquire(ctx context.Context) (Slot, error) {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64(cap(h.slots)*queuePerSlot) {
		return Slot{}, failure.Unavailable(retryAfter, errors.New("too many callers wait to hash a password"))
	}
	select {
	case h.slots <- struct{}{}:
		return Slot{h}, nil
	case <-ctx.Done():
		return Slot{}, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

// Release frees the slot.
func (s Slot) Release() { <-s.h.slots }

// Hash returns the hash of a password in NFC (NIST SP 800-63B, section 5.1.1.2), or an error if that
// exceeds MaxBytes.
func (s Slot) Hash(password string) ([]byte, error) {
	defer s.h.observe(time.Now())
	hash, err := bcrypt.GenerateFromPassword([]byte(text.NFC(password)), s.h.cost)
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// Matches reports whether hash is a hash of password in NFC, or as it is, which earlier releases
// hashed. A nil hash, for an account that does not
// exist, matches nothing and takes the same time; so does a password over MaxBytes, of which bcrypt
// would compare only the first bytes.
func (s Slot) Matches(hash []byte, password string) bool {
	normalized := text.NFC(password)
	return s.compare(hash, normalized) || normalized != password && s.compare(hash, password)
}

func (s Slot) compare(hash []byte, password string) bool {
	defer s.h.observe(time.Now())
	mayMatch := hash != nil && len(password) <= MaxBytes
	if !mayMatch {
		hash = s.h.dummy
	}
	return bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil && mayMatch
}

// IsCurrent reports whether hash, which matches password, has the cost of new hashes and is of the
// password in NFC.
func (s Slot) IsCurrent(hash []byte, password string) bool {
	cost, err := bcrypt.Cost(hash)
	normalized := text.NFC(password)
	return err == nil && cost == s.h.cost && (normalized == password || s.compare(hash, normalized))
}

func (h *Hasher) observe(start time.Time) { h.seconds.Observe(time.Since(start).Seconds()) }
