package authn_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/jwk"
	"ecommerce-stack.dev/services/internal/problem"
)

func TestVerifyReturnsPrincipal(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	for _, key := range []jwk.Key{authntest.EdKey(t, "e"), authntest.SymmetricKey("h")} {
		keys.Write(t, key)
		got, err := keys.Verifier(t).Verify(keys.Token(t, 7, authn.Manager))
		want := authn.Principal{UserID: 7, Email: "user7@example.com", Role: authn.Manager}
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", key.Alg, got, err, want)
		}
	}
}

func TestForgedAndForeignTokensAreRefused(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	signing := authntest.EdKey(t, "test-1")
	keys.Write(t, signing, authntest.SymmetricKey("h"))
	v := keys.Verifier(t)
	with := func(claims, headers map[string]any) string {
		return keys.TokenWith(t, 7, authn.Client, claims, headers)
	}
	good := with(nil, nil)
	if _, err := v.Verify(good); err != nil {
		t.Fatalf("a good token is refused: %v", err)
	}
	parts := strings.Split(good, ".")
	sealed := func(method jwt.SigningMethod, key any, kid string) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims{"iss": authntest.Issuer, "aud": authntest.Audience, "sub": "7",
			"role": "Manager", "exp": time.Now().Add(time.Hour).Unix()})
		token.Header["kid"] = kid
		signed, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	public := []byte(signing.Verifier.(ed25519.PublicKey))
	tampered := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"x","sub":"1","role":"Manager"}`))
	now := time.Now()
	for name, token := range map[string]string{
		"empty":                   "",
		"no token":                "x",
		"too large":               good + strings.Repeat("A", 5000),
		"alg none":                sealed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "test-1"),
		"public key as secret":    sealed(jwt.SigningMethodHS256, public, "test-1"),
		"alg not the key's":       sealed(jwt.SigningMethodHS256, public, "h"),
		"HS512":                   sealed(jwt.SigningMethodHS512, public, "h"),
		"EdDSA under kid of HMAC": with(nil, map[string]any{"kid": "h"}),
		"unknown kid":             with(nil, map[string]any{"kid": "other"}),
		"critical extension":      with(nil, map[string]any{"crit": []string{"b64"}, "b64": false}),
		"no kid":                  with(nil, map[string]any{"kid": nil}),
		"kid is a number":         with(nil, map[string]any{"kid": 7}),
		"foreign issuer":          with(map[string]any{"iss": "urn:other"}, nil),
		"no issuer":               with(map[string]any{"iss": nil}, nil),
		"foreign audience":        with(map[string]any{"aud": "urn:other"}, nil),
		"no audience":             with(map[string]any{"aud": nil}, nil),
		"no expiry":               with(map[string]any{"exp": nil}, nil),
		"not yet valid":           with(map[string]any{"nbf": now.Add(time.Minute).Unix()}, nil),
		"no subject":              with(map[string]any{"sub": nil}, nil),
		"subject zero":            with(map[string]any{"sub": "0"}, nil),
		"subject negative":        with(map[string]any{"sub": "-7"}, nil),
		"subject padded":          with(map[string]any{"sub": "+7"}, nil),
		"subject too large":       with(map[string]any{"sub": "9223372036854775808"}, nil),
		"no role":                 with(map[string]any{"role": nil}, nil),
		"unknown role":            with(map[string]any{"role": "Admin"}, nil),
		"tampered claims":         parts[0] + "." + tampered + "." + parts[2],
		"no signature":            parts[0] + "." + parts[1] + ".",
	} {
		if p, err := v.Verify(token); !errors.Is(err, authn.ErrToken) || p != (authn.Principal{}) {
			t.Errorf("%s: got %+v, %v, want ErrToken", name, p, err)
		}
	}
	if _, err := v.Verify(with(map[string]any{"exp": now.Add(-time.Minute).Unix()}, nil)); !errors.Is(err, authn.ErrExpired) {
		t.Errorf("a past expiry: got %v, want ErrExpired", err)
	}
}

func TestKeysAreReadAgainWhenTheFileChanges(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	before := keys.Token(t, 7, authn.Client)
	v := keys.Verifier(t)
	if _, err := v.Verify(before); err != nil {
		t.Fatal(err)
	}
	go v.Watch(t.Context(), slog.New(slog.DiscardHandler))

	next := authntest.EdKey(t, "test-2")
	keys.Write(t, next)
	token := keys.Token(t, 7, authn.Client)
	testenv.Eventually(t, "the new key is in use", func() bool { _, err := v.Verify(token); return err == nil })
	if _, err := v.Verify(before); err == nil {
		t.Error("a token of a key that was removed is accepted")
	}

	if err := os.WriteFile(keys.File, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys2 := authntest.New(t)
	if _, err := keys2.Verifier(t).Verify(token); err == nil {
		t.Error("a token of other keys is accepted")
	}
	if _, err := v.Verify(token); err != nil {
		t.Errorf("a broken file took the keys away: %v", err)
	}
}

func TestCachedTokenExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := authntest.New(t)
		v := keys.Verifier(t)
		token := keys.TokenWith(t, 7, authn.Client, map[string]any{"exp": time.Now().Add(10 * time.Second).Unix()}, nil)
		for range 2 {
			if _, err := v.Verify(token); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute) // of the test's own clock
		if _, err := v.Verify(token); !errors.Is(err, authn.ErrExpired) {
			t.Errorf("got %v, want ErrExpired", err)
		}
	})
}

func TestKeysInUseAreReported(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	keys.Write(t, authntest.EdKey(t, "b"), authntest.SymmetricKey("a"))
	for want, signing := range map[string]func() string{
		`{"verifies":["a","b"],"signs":"b"}`: func() string { return "b" },
		`{"verifies":["a","b"]}`:             nil,
	} {
		rec := httptest.NewRecorder()
		keys.Verifier(t).KeysHandler(signing).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/jwt-keys", nil))
		if got := strings.TrimSpace(rec.Body.String()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestVerifierWithoutKeysIsAnError(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	if err := os.WriteFile(keys.File, []byte(`{"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := authn.NewVerifier(keys.Config()); !errors.Is(err, jwk.ErrInvalid) {
		t.Errorf("got %v, want jwk.ErrInvalid", err)
	}
}

func TestAuthorizeRefusesWithChallenges(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	v := keys.Verifier(t)
	for header, want := range map[string]struct {
		status    int
		code      string
		challenge string
	}{
		"":                              {401, "unauthenticated", "Bearer"},
		"Basic dTpw":                    {401, "invalid_token", `Bearer error="invalid_token"`},
		"Bearer":                        {401, "invalid_token", `Bearer error="invalid_token"`},
		"Bearer x.y.z":                  {401, "invalid_token", `Bearer error="invalid_token"`},
		keys.Bearer(t, 7, authn.Client): {403, "forbidden", ""},
	} {
		_, err := v.Authorize(time.Now(), []byte(header), authn.Manager)
		p := problem.From(err)
		if p.Status != want.status || p.Code != want.code || p.GetHeaders().Get("WWW-Authenticate") != want.challenge {
			t.Errorf("%.12q: got %v, want %+v", header, err, want)
		}
	}
	if p, err := v.Authorize(time.Now(), []byte("bearer  "+keys.Token(t, 7, authn.Manager)), authn.Manager); err != nil || p.UserID != 7 {
		t.Errorf("a manager: got %+v, %v", p, err)
	}
}
