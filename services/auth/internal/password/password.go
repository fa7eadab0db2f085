// Package password hashes passwords with bcrypt behind a bound: hashing is made to
// be slow, so that without one a burst of logins would take every processor from
// everything else.
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
)

// Limits of a password in bytes. bcrypt reads no more than 72, so a longer one is
// refused rather than cut.
const (
	MinBytes = 8
	MaxBytes = 72
)

// Limits of the bcrypt cost: each step doubles the work.
const (
	MinCost = bcrypt.MinCost
	MaxCost = bcrypt.MaxCost
)

// queuePerSlot is how many callers may wait for each slot; at cost 12 the last of
// them waits about eight seconds.
const queuePerSlot = 32

// retryAfter is what a caller is told to wait when the queue is full.
const retryAfter = 2 * time.Second

// Hasher hashes and compares within its bound. It is safe for concurrent use.
type Hasher struct {
	cost    int
	slots   chan struct{}
	waiting atomic.Int64
	dummy   []byte
	seconds prometheus.Histogram
}

// NewHasher works at the given bcrypt cost, on at most concurrency passwords at a
// time.
func NewHasher(cost, concurrency int, reg prometheus.Registerer) (*Hasher, error) {
	unknown := make([]byte, 32)
	_, _ = rand.Read(unknown) // never fails (crypto/rand)
	dummy, err := bcrypt.GenerateFromPassword(unknown, cost)
	if err != nil {
		return nil, fmt.Errorf("hash at cost %d: %w", cost, err)
	}
	h := &Hasher{
		cost: cost, slots: make(chan struct{}, concurrency), dummy: dummy,
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "auth_password_hash_seconds", Help: "Time of one bcrypt operation, without the wait for a slot.",
			Buckets: []float64{.001, .01, .05, .1, .2, .3, .5, 1, 2},
		}),
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "auth_password_hash_waiting", Help: "Callers that wait for a slot to hash in.",
	}, func() float64 { return float64(h.waiting.Load()) })
	reg.MustRegister(h.seconds, waiting)
	return h, nil
}

// Slot is the right to hash, until Release.
type Slot struct{ h *Hasher }

// Acquire waits for a slot. It is a failure of KindUnavailable when too many wait
// already.
func (h *Hasher) Acquire(ctx context.Context) (Slot, error) {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64(cap(h.slots)*queuePerSlot) {
		return Slot{}, failure.Unavailable(retryAfter, errors.New("too many wait to hash a password"))
	}
	select {
	case h.slots <- struct{}{}:
		return Slot{h}, nil
	case <-ctx.Done():
		return Slot{}, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

// Release gives the slot back.
func (s Slot) Release() { <-s.h.slots }

// Hash makes the hash to store.
func (s Slot) Hash(password string) ([]byte, error) {
	defer s.h.observe(time.Now())
	hash, err := bcrypt.GenerateFromPassword([]byte(password), s.h.cost)
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// Matches says whether hash was made of password. A nil hash, of an account that
// does not exist, matches nothing and takes the same time; so does a password
// beyond MaxBytes, of which bcrypt would compare the beginning only.
func (s Slot) Matches(hash []byte, password string) bool {
	defer s.h.observe(time.Now())
	possible := hash != nil && len(password) <= MaxBytes
	if !possible {
		hash = s.h.dummy
	}
	return bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil && possible
}

// Current says whether hash has the cost that new ones get.
func (s Slot) Current(hash []byte) bool {
	cost, err := bcrypt.Cost(hash)
	return err == nil && cost == s.h.cost
}

func (h *Hasher) observe(start time.Time) { h.seconds.Observe(time.Since(start).Seconds()) }
