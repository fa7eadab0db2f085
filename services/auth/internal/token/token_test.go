package token_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/auth/internal/token"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/jwk"
)

func signer(t *testing.T, keys *authntest.Keys) *token.Signer {
	t.Helper()
	s, err := token.NewSigner(token.Config{SigningFile: keys.SigningFile, ActiveFile: keys.ActiveFile, TTL: time.Minute},
		authntest.Issuer, authntest.Audience)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var ada = account.User{ID: 7, Email: "ada@example.com", Role: authn.Client}

func TestSignedTokenIsVerified(t *testing.T) {
	t.Parallel()
	for _, key := range []jwk.Key{authntest.EdKey(t, "e"), authntest.SymmetricKey("h")} {
		keys := authntest.New(t)
		keys.Write(t, key)
		signed, validFor, err := signer(t, keys).Sign(ada, time.Now())
		if err != nil || validFor != time.Minute {
			t.Fatalf("Sign: %s, %v", validFor, err)
		}
		want := authn.Principal{UserID: 7, Email: "ada@example.com", Role: authn.Client}
		if got, err := keys.Verifier(t).Verify(signed); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", key.Alg, got, err, want)
		}
	}
}

func TestSignerSwitchesToActiveKey(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	s := signer(t, keys)
	go s.Watch(t.Context(), slog.New(slog.DiscardHandler))
	keys.Write(t, authntest.EdKey(t, "next"))
	v := keys.Verifier(t)
	deadline := time.After(10 * time.Second)
	for {
		signed, _, err := s.Sign(ada, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(signed); err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal("the new key is not used")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestDeviceCookieIsBoundToAccountAndKey(t *testing.T) {
	t.Parallel()
	keys, now, device := authntest.New(t), time.Now(), uuid.New()
	old, next := authntest.EdKey(t, "old"), authntest.SymmetricKey("next")
	keys.Write(t, old)
	cookie := signer(t, keys).SignDeviceCookie(ada.Email, device, now)
	keys.Write(t, next, old)
	rotated := signer(t, keys)
	keys.Write(t, next)
	for name, c := range map[string]struct {
		signer        *token.Signer
		cookie, email string
		at            time.Time
		known         bool
	}{
		"after the rotation":   {rotated, cookie, ada.Email, now, true},
		"on its last day":      {rotated, cookie, ada.Email, now.Add(account.DeviceTTL - time.Minute), true},
		"expired":              {rotated, cookie, ada.Email, now.Add(account.DeviceTTL), false},
		"of another account":   {rotated, cookie, "eve@example.com", now, false},
		"of a key removed":     {signer(t, keys), cookie, ada.Email, now, false},
		"cut":                  {rotated, cookie[:len(cookie)-1], ada.Email, now, false},
		"longer":               {rotated, cookie + "A", ada.Email, now, false},
		"no base64url":         {rotated, "+" + cookie[1:], ada.Email, now, false},
		"of another version":   {rotated, "B" + cookie[1:], ada.Email, now, false},
		"with another device":  {rotated, cookie[:5] + flip(cookie[5]) + cookie[6:], ada.Email, now, false},
		"with a forged digest": {rotated, cookie[:70] + flip(cookie[70]) + cookie[71:], ada.Email, now, false},
		"none":                 {rotated, "", ada.Email, now, false},
	} {
		if got, known := c.signer.VerifyDeviceCookie(c.cookie, c.email, c.at); known != c.known || known && got != device {
			t.Errorf("%s: got %s, %v, want %v", name, got, known, c.known)
		}
	}
}

// flip returns another character of base64url.
func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestNewSignerRequiresActiveKey(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	c := token.Config{SigningFile: keys.SigningFile, ActiveFile: keys.ActiveFile}
	if _, err := token.NewSigner(token.Config{SigningFile: keys.File, ActiveFile: keys.ActiveFile}, "i", "a"); err == nil {
		t.Error("NewSigner accepted public keys")
	}
	if err := os.WriteFile(keys.ActiveFile, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := token.NewSigner(c, "i", "a"); err == nil {
		t.Error("NewSigner accepted an active key that does not exist")
	}
}
