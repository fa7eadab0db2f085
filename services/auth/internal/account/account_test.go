package account

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ecommerce-stack.dev/services/internal/failure"
)

func TestARegistrationNamesEveryRuleItBreaks(t *testing.T) {
	t.Parallel()
	_, err := Registration{Username: " ", Email: "x", Password: "short"}.check()
	var f *failure.Error
	if !errors.As(err, &f) || len(f.Fields) != 3 || f.Fields[0].Location != "body.email" {
		t.Fatalf("got %v", err)
	}
	for email, ok := range map[string]bool{
		"Ada@Example.COM": true, " ada@example.com ": true, "ada+shop@example.com": true, "añez@example.com": true,
		"": false, "ada": false, "ada@": false, "@example.com": false, "Ada <ada@example.com>": false, "a b@example.com": false,
		`"a b"@example.com`: false, "ada@example.com\x00": false, strings.Repeat("a", 250) + "@b.de": false,
	} {
		r, err := Registration{Username: "Ada", Email: email, Password: "correct horse"}.check()
		if (err == nil) != ok {
			t.Errorf("%q: got %v, want ok %v", email, err, ok)
		}
		if ok && r.Email != strings.ToLower(strings.TrimSpace(email)) {
			t.Errorf("%q became %q", email, r.Email)
		}
	}
	for name, ok := range map[string]bool{
		"A": true, strings.Repeat("é", 100): true, "Ada L.": true,
		"": false, strings.Repeat("é", 101): false, " a": false, "a\n": false, "a\u200bb": false,
	} {
		if _, err := (Registration{Username: name, Email: "a@b.de", Password: "correct horse"}).check(); (err == nil) != ok {
			t.Errorf("username %q: got %v, want ok %v", name, err, ok)
		}
	}
}

func TestFailuresSlowDownButNeverForLong(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	var a Attempts
	for i, seconds := range []int{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60} {
		want := time.Duration(seconds) * time.Second
		a = a.Failed(now)
		if got := a.Wait(now); got != want {
			t.Errorf("after %d failures: wait %s, want %s", i+1, got, want)
		}
	}
	if later := now.Add(forgetAfter + time.Second); a.Failed(later).Failures != 1 {
		t.Error("failures of long ago are not forgotten")
	}
}

func TestNoHistoryOfFailuresLocksTheOwnerOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
		var a Attempts
		for range rapid.IntRange(0, 10_000).Draw(t, "failures") {
			now = now.Add(a.Wait(now))
			a = a.Failed(now)
		}
		if wait := a.Wait(now); wait > longestWait {
			t.Fatalf("wait %s", wait)
		}
	})
}

func TestATokenIsJudgedByUseOwnerAndAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fresh := RefreshToken{ExpiresAt: now.Add(time.Second)}
	used := RefreshToken{ExpiresAt: now.Add(time.Second), Used: true}
	for name, c := range map[string]struct {
		token RefreshToken
		user  User
		want  Verdict
	}{
		"fresh":            {fresh, User{}, Rotate},
		"used":             {used, User{}, Revoke},
		"used and expired": {RefreshToken{ExpiresAt: now, Used: true}, User{}, Revoke},
		"expired":          {RefreshToken{ExpiresAt: now}, User{}, Refuse},
		"owner disabled":   {fresh, User{Disabled: true}, Revoke},
	} {
		if got := c.token.Judge(c.user, now); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
