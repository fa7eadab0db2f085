// Package limit bounds how often each caller may call, with the generic cell rate
// algorithm (ITU-T I.371): one time per caller says when its next call is due, and
// a burst is how far ahead of that time a caller may be.
//
// The counts are this process's own. N replicas together let through up to N times
// the limit, less as the load is less evenly spread.
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

// Limiter allows each caller a steady rate and a burst. It is safe for concurrent
// use.
type Limiter struct {
	interval int64 // nanoseconds between calls at the steady rate
	burst    int64
	seed     maphash.Seed
	now      func() time.Time
	shards   [shardCount]shard
}

type shard struct {
	mu    sync.Mutex
	due   map[Key]int64
	swept int64
	_     cpu.CacheLinePad // Or callers of two shards would wait for each other.
}

// New allows calls calls in each period, and burst of them at once.
func New(calls int, period time.Duration, burst int) *Limiter {
	l := &Limiter{
		interval: max(1, int64(period)/int64(calls)), burst: int64(max(1, burst)), seed: maphash.MakeSeed(), now: time.Now,
	}
	for i := range l.shards {
		l.shards[i].due = map[Key]int64{}
	}
	return l
}

// Decision about one call.
type Decision struct {
	Allowed bool
	// Limit is how many calls may be made at once, Remaining how many of them are left.
	Limit, Remaining int64
	// Reset is when all are there again, RetryAfter when the next one is.
	Reset, RetryAfter time.Duration
}

// Allow decides about a call and counts it if it is allowed.
func (l *Limiter) Allow(k Key) Decision { return l.AllowAt(l.now(), k) }

// AllowAt is Allow for a call that came a moment ago.
func (l *Limiter) AllowAt(came time.Time, k Key) Decision {
	now := came.UnixNano()
	s := l.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	due, known := s.due[k]
	if !known && len(s.due) >= maxPerShard {
		s.makeRoom(now)
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

// makeRoom forgets the callers who have all their calls back. If there are none,
// because of many callers at once, it forgets one at random, which gives that one a
// new burst and never refuses anyone.
func (s *shard) makeRoom(now int64) {
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
