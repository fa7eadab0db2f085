package limit

import (
	"net/netip"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

// at makes a limiter whose clock the test moves.
func at(l *Limiter) (*Limiter, *time.Time) {
	now := time.Unix(1_800_000_000, 0)
	l.now = func() time.Time { return now }
	return l, &now
}

func TestBurstIsFollowedByRate(t *testing.T) {
	t.Parallel()
	l, now := at(New(10, time.Second, 3))
	k := Key{User: 7}
	for want := int64(2); want >= 0; want-- {
		reset := time.Duration(3-want) * 100 * time.Millisecond
		if d := l.Allow(k); !d.Allowed || d.Remaining != want || d.Limit != 3 || d.Reset != reset {
			t.Errorf("got %+v, want allowed with %d of 3 remaining, all after %s", d, want, reset)
		}
	}
	if d := l.Allow(k); d.Allowed || d.RetryAfter != 100*time.Millisecond || d.Remaining != 0 || d.Reset != 300*time.Millisecond {
		t.Errorf("over the burst: %+v", d)
	}
	*now = now.Add(100 * time.Millisecond)
	if d := l.Allow(k); !d.Allowed {
		t.Errorf("after the wait: %+v", d)
	}
	if d := l.Allow(k); d.Allowed {
		t.Errorf("and one more: %+v", d)
	}
	if d := l.Allow(Key{Addr: netip.MustParseAddr("203.0.113.7")}); !d.Allowed {
		t.Errorf("another caller: %+v", d)
	}
}

func TestCallsNeverExceedBurstPlusRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		calls := rapid.IntRange(1, 100).Draw(t, "calls")
		burst := rapid.IntRange(1, 50).Draw(t, "burst")
		l, now := at(New(calls, time.Second, burst))
		began, allowed := *now, 0
		for _, pause := range rapid.SliceOfN(rapid.IntRange(0, 200), 1, 300).Draw(t, "pauses") {
			*now = now.Add(time.Duration(pause) * time.Millisecond)
			d := l.Allow(Key{User: 1})
			if d.Allowed {
				allowed++
			} else if d.RetryAfter <= 0 {
				t.Fatalf("refused without a wait: %+v", d)
			}
		}
		most := burst + int(now.Sub(began).Seconds()*float64(calls)) + 1
		if allowed > most {
			t.Fatalf("%d calls in %s, at most %d are allowed", allowed, now.Sub(began), most)
		}
	})
}

func TestManyCallersUseBoundedMemory(t *testing.T) {
	t.Parallel()
	l, now := at(New(1, time.Minute, 1))
	for i := range int64(600_000) {
		if !l.Allow(Key{User: i + 1}).Allowed {
			t.Fatalf("caller %d is refused its first call", i)
		}
	}
	total := 0
	for i := range l.shards {
		total += len(l.shards[i].due)
	}
	if total > shardCount*maxPerShard {
		t.Errorf("%d callers are stored, want at most %d", total, shardCount*maxPerShard)
	}
	*now = now.Add(time.Hour)
	newcomer := Key{User: 600_001}
	if !l.Allow(newcomer).Allowed {
		t.Error("a new caller is refused")
	}
	if left := len(l.shard(newcomer).due); left != 1 {
		t.Errorf("an hour later %d callers of a full shard are left, want the new one alone", left)
	}
}

func TestSweepRemovesCallersWithAWholeBurst(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	now := int64(10 * interval)
	s := shard{due: map[Key]int64{{User: 1}: now - 1, {User: 2}: now, {User: 3}: now + 1}}
	s.removeIdle(now)
	if len(s.due) != 1 || s.due[Key{User: 3}] == 0 {
		t.Errorf("after the sweep: %v, want user 3 alone", s.due)
	}
	s.due[Key{User: 4}] = now
	if s.removeIdle(now + sweepAtLeast - 1); len(s.due) != 2 {
		t.Errorf("swept again within %s", time.Duration(sweepAtLeast))
	}
	if s.removeIdle(now + sweepAtLeast); len(s.due) != 0 {
		t.Errorf("not swept after %s: %v", time.Duration(sweepAtLeast), s.due)
	}
}

func TestHeadersAreInWholeSeconds(t *testing.T) {
	t.Parallel()
	for reset, want := range map[time.Duration]string{
		0: "0", time.Nanosecond: "1", time.Second: "1", 1100 * time.Millisecond: "2", 2 * time.Second: "2",
	} {
		var h fasthttp.ResponseHeader
		Decision{Limit: 200, Remaining: 12, Reset: reset}.Set(&h)
		if string(h.Peek("RateLimit-Limit")) != "200" || string(h.Peek("RateLimit-Remaining")) != "12" || string(h.Peek("RateLimit-Reset")) != want {
			t.Errorf("reset after %s: got %s, want %s s", reset, h.String(), want)
		}
	}
}
