package account

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ecommerce-stack.dev/services/internal/failure"
)

func TestRegistrationErrorNamesEveryInvalidField(t *testing.T) {
	t.Parallel()
	_, err := Registration{Username: " ", Email: "x", Password: "short"}.validate()
	var f *failure.Error
	if !errors.As(err, &f) || len(f.Fields) != 3 || f.Fields[0].Location != "body.email" {
		t.Fatalf("got %v", err)
	}
	for email, ok := range map[string]bool{
		"Ada@Example.COM": true, " ada@example.com ": true, "ada+shop@example.com": true, "añez@example.com": true,
		"": false, "ada": false, "ada@": false, "@example.com": false, "Ada <ada@example.com>": false, "a b@example.com": false,
		`"a b"@example.com`: false, "ada@example.com\x00": false, strings.Repeat("a", maxEmailLength-5) + "@b.de": true,
		strings.Repeat("a", maxEmailLength-4) + "@b.de": false,
	} {
		r, err := Registration{Username: "Ada", Email: email, Password: "correct horse"}.validate()
		if (err == nil) != ok {
			t.Errorf("%q: got %v, want ok %v", email, err, ok)
		}
		if ok && r.Email != strings.ToLower(strings.TrimSpace(email)) {
			t.Errorf("%q became %q", email, r.Email)
		}
	}
	for _, one := range [][]string{
		{"jos\u00e9@example.com", "jose\u0301@example.com", "JOSE\u0301@Example.com", " JOS\u00c9@example.com"},
		{"ada@b\u00fccher.example", "ada@bu\u0308cher.example", "ada@xn--bcher-kva.example", "ADA@XN--BCHER-KVA.example", "ada@B\u00dcCHER\u3002example"},
		{"ada@\u4f8b\u3048.\u30c6\u30b9\u30c8", "ada@xn--r8jz45g.xn--zckzah"},
		{"ada@[192.0.2.1]"}, {"ada@foo_bar.example"},
	} {
		for _, email := range one {
			r, err := Registration{Username: "Ada", Email: email, Password: "correct horse"}.validate()
			if err != nil || r.Email != one[0] || NormalizeEmail(r.Email) != r.Email {
				t.Errorf("%+q became %+q, %v; want %+q", email, r.Email, err, one[0])
			}
		}
	}
	for _, email := range []string{"ada@xn--a.example", "ada@xn--.example", "ada@\u00fc..example", "ada@" + strings.Repeat("\u00fc", 64) + ".example"} {
		if _, err := (Registration{Username: "Ada", Email: email, Password: "correct horse"}).validate(); err == nil {
			t.Errorf("%+q is accepted", email)
		}
	}
	for name, ok := range map[string]bool{
		"A": true, strings.Repeat("é", 100): true, "Ada L.": true,
		"": false, strings.Repeat("é", 101): false, " a": false, "a\n": false, "a\u200bb": false,
	} {
		if _, err := (Registration{Username: name, Email: "a@b.de", Password: "correct horse"}).validate(); (err == nil) != ok {
			t.Errorf("username %q: got %v, want ok %v", name, err, ok)
		}
	}
}

func TestDelayDoublesUpToAMinute(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	var c Counter
	var a Attempts
	for i, seconds := range []int{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60} {
		want := time.Duration(seconds) * time.Second
		a = c.AddFailure(a, now)
		if got := a.Delay(now); got != want {
			t.Errorf("after %d failures: delay %s, want %s", i+1, got, want)
		}
	}
	if later := now.Add(AttemptsTTL); c.AddFailure(a, later).Failures != a.Failures+1 {
		t.Errorf("the count is reset after %s", AttemptsTTL)
	}
	if later := now.Add(AttemptsTTL + 1); c.AddFailure(a, later).Failures != 1 {
		t.Errorf("the count is not reset after more than %s", AttemptsTTL)
	}
}

func TestDelayIsBoundedAfterAnyNumberOfFailures(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
		c := Counter{shared: rapid.Bool().Draw(t, "shared")}
		var a Attempts
		for range rapid.IntRange(0, 10_000).Draw(t, "failures") {
			now = now.Add(a.Delay(now))
			a = c.AddFailure(a, now)
		}
		if delay := a.Delay(now); delay > maxDelay {
			t.Fatalf("delay %s", delay)
		}
	})
}

// attack returns how many guesses an attacker with a number of addresses gets in a day, and the
// longest delay of a client at another address.
func attack(addresses int) (guesses int, longest time.Duration) {
	begin := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	own, shared := make([]Attempts, addresses), Attempts{}
	for now := begin; now.Sub(begin) < 24*time.Hour; now = now.Add(time.Second) {
		for i := range own {
			for own[i].Delay(now) == 0 && shared.Delay(now) == 0 {
				own[i] = Counter{}.AddFailure(own[i], now)
				shared = Counter{shared: true}.AddFailure(shared, now)
				guesses++
			}
		}
		longest = max(longest, shared.Delay(now))
	}
	return guesses, longest
}

func TestGuessesAreBoundedForAnyNumberOfAddresses(t *testing.T) {
	t.Parallel()
	for addresses, want := range map[int]struct {
		guesses int
		longest time.Duration
	}{
		1:   {1449, 0},
		4:   {4 * 1449, 0},
		5:   {5860, sharedRefillInterval},
		100: {5860, sharedRefillInterval},
	} {
		guesses, longest := attack(addresses)
		if guesses > want.guesses || longest > want.longest {
			t.Errorf("%d addresses: %d guesses a day and a delay of %s for others, want at most %d and %s",
				addresses, guesses, longest, want.guesses, want.longest)
		}
	}
}

func TestCounterIsPerIPv4AddressOrIPv6Subnet(t *testing.T) {
	t.Parallel()
	key := func(address string) [32]byte { return loginCounters("a@b.de", netip.MustParseAddr(address))[0].Key }
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1", true},
	} {
		if got := key(c.a) == key(c.b); got != c.same {
			t.Errorf("%s and %s are one client: %v, want %v", c.a, c.b, got, c.same)
		}
	}
}

func TestRefreshActionDependsOnUseOwnerAndAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fresh := RefreshToken{ExpiresAt: now.Add(time.Second)}
	used := RefreshToken{ExpiresAt: now.Add(time.Second), Used: true}
	usedBy := func(client string, ago time.Duration) RefreshToken {
		return RefreshToken{ExpiresAt: now.Add(time.Second), Used: true, Use: Use{At: now.Add(-ago), Client: []byte(client), Salt: []byte("salt")}}
	}
	for name, c := range map[string]struct {
		token RefreshToken
		user  User
		want  RefreshAction
	}{
		"fresh":               {fresh, User{}, RotateToken},
		"used":                {used, User{}, RevokeFamily},
		"used and expired":    {RefreshToken{ExpiresAt: now, Used: true}, User{}, RevokeFamily},
		"expired":             {RefreshToken{ExpiresAt: now}, User{}, RejectToken},
		"used just now":       {usedBy("a", 9*time.Second), User{}, RepeatToken},
		"used for too long":   {usedBy("a", 10*time.Second), User{}, RevokeFamily},
		"used by another":     {usedBy("b", 0), User{}, RevokeFamily},
		"used, then disabled": {usedBy("a", 0), User{Disabled: true}, RevokeFamily},
		"owner disabled":      {fresh, User{Disabled: true}, RevokeFamily},
	} {
		if got := c.token.Action(c.user, Use{At: now, Client: []byte("a")}, 10*time.Second); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
