package token_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

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

func TestASignedTokenIsAcceptedForItsUser(t *testing.T) {
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

func TestSigningMovesToTheKeyThatIsActive(t *testing.T) {
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
			t.Fatal("the new key does not sign")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestASignerNeedsItsActiveKey(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	c := token.Config{SigningFile: keys.SigningFile, ActiveFile: keys.ActiveFile}
	if _, err := token.NewSigner(token.Config{SigningFile: keys.File, ActiveFile: keys.ActiveFile}, "i", "a"); err == nil {
		t.Error("a signer started with public keys")
	}
	if err := os.WriteFile(keys.ActiveFile, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := token.NewSigner(c, "i", "a"); err == nil {
		t.Error("a signer started with a key that does not exist")
	}
}
