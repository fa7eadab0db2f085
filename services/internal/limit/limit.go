// Package limit limits the request rate and the concurrent requests of each caller. The
// rate limiter is the generic cell rate algorithm (ITU-T I.371): it stores one time per
// caller, when the next request is due, and a burst is how far ahead of that time a caller
// may be.
//
// Each process counts for itself: N replicas together allow up to N times the limit.
package limit

import (
	"hash/maphash"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/cpu"
)

// Key is a caller: a user, or for calls without one the address.
type Key struct {
	User int64
	Addr netip.Addr
}

// Sizes of the table. A caller takes about 60 bytes.
const (
	shardCount   = 64
	maxPerShard  = 4096
	sweepAtLeast = int64(time.Second)
)

// Limiter allows each caller a steady rate and a burst. It is safe for concurrent use.
type Limiter struct {
	interval int64 // nanoseconds between requests at the steady rate
	burst    int64
	seed     maphash.Seed
	now      func() time.Time
	shards   [shardCount]shard
}

type shard struct {
	mu    sync.Mutex
	due   map[Key]int64
	swept int64
	_     cpu.CacheLinePad // avoids false sharing between shards
}

// New returns a Limiter of requests per period, and a burst of requests at once.
func New(requests int, period time.Duration, burst int) *Limiter {
	l := &Limiter{
		interval: max(1, int64(period)/int64(requests)), burst: int64(max(1, burst)), seed: maphash.MakeSeed(), now: time.Now,
	}
	for i := range l.shards {
		l.shards[i].due = map[Key]int64{}
	}
	return l
}

// Decision is the result for one request.
type Decision struct {
	Allowed bool
	// Limit is the burst, Remaining how much of it is left, in requests.
	Limit, Remaining int64
	// Reset is the time until the whole burst is available, RetryAfter until the next
	// request is allowed.
	Reset, RetryAfter time.Duration
}

// Allow decides on a request and counts it if it is allowed.
func (l *Limiter) Allow(k Key) Decision { return l.AllowAt(l.now(), k) }

// AllowAt is Allow for a request that arrived at a time shortly before now.
func (l *Limiter) AllowAt(arrived time.Time, k Key) Decision {
	now := arrived.UnixNano()
	s := l.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	due, known := s.due[k]
	if !known && len(s.due) >= maxPerShard {
		s.removeIdle(now)
	}
	next := max(due, now) + l.interval
	ahead := next - now - l.interval*l.burst
	if ahead > 0 {
		return Decision{Limit: l.burst, Reset: time.Duration(due - now), RetryAfter: time.Duration(ahead)}
	}
	s.due[k] = next
	return Decision{Allowed: true, Limit: l.burst, Remaining: -ahead / l.interval, Reset: time.Duration(next - now)}
}

// shard returns the part of the table that has a caller. The ids of users are consecutive.
func (l *Limiter) shard(k Key) *shard {
	n := uint64(k.User)
	if k.Addr.IsValid() {
		n = maphash.Comparable(l.seed, k.Addr)
	}
	return &l.shards[n%shardCount]
}

// removeIdle removes the callers whose whole burst is available. If there are none, it
// removes one at random, which gives that caller a new burst and refuses no request.
func (s *shard) removeIdle(now int64) {
	if now-s.swept >= sweepAtLeast {
		s.swept = now
		for k, due := range s.due {
			if due <= now {
				delete(s.due, k)
			}
		}
	}
	if len(s.due) < maxPerShard {
		return
	}
	for k := range s.due {
		delete(s.due, k)
		return
	}
}

// Names as the HTTP library has them.
var limitField, remainingField, resetField = []byte("Ratelimit-Limit"), []byte("Ratelimit-Remaining"), []byte("Ratelimit-Reset")

// Set sets the header fields of draft-ietf-httpapi-ratelimit-headers-03. Times are in
// seconds, rounded up.
func (d Decision) Set(h *fasthttp.ResponseHeader) {
	var buf [20]byte
	h.SetCanonical(limitField, strconv.AppendInt(buf[:0], d.Limit, 10))
	h.SetCanonical(remainingField, strconv.AppendInt(buf[:0], d.Remaining, 10))
	h.SetCanonical(resetField, strconv.AppendInt(buf[:0], int64((d.Reset+time.Second-1)/time.Second), 10))
}
