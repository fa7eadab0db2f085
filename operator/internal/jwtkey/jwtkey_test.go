package jwtkey_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/operator/internal/jwtkey"
)

func TestParseReturnsEncodedKeys(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{jwtkey.HS256, jwtkey.EdDSA} {
		key, err := jwtkey.New(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := jwtkey.Set{Keys: []jwtkey.Key{key}}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		set, err := jwtkey.Parse(encoded)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if diff := cmp.Diff([]jwtkey.Key{key}, set.Keys); diff != "" || !set.Has(key.ID) {
			t.Errorf("%s: keys (-want +got):\n%s", algorithm, diff)
		}
	}
}

func TestVerifierSetOmitsPrivateKeys(t *testing.T) {
	t.Parallel()
	key, err := jwtkey.New(jwtkey.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := jwtkey.Set{Keys: []jwtkey.Key{key}}.VerifierSet().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(encoded), key.D) || strings.Contains(string(encoded), `"d"`) {
		t.Errorf("the verifier set %s contains the private key", encoded)
	}
	seed, err := base64.RawURLEncoding.DecodeString(key.D)
	if err != nil {
		t.Fatal(err)
	}
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if want := base64.RawURLEncoding.EncodeToString(public); key.X != want {
		t.Errorf("public key %s, want %s", key.X, want)
	}
}

func TestParseRejectsInvalidSigningSets(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"no JSON":       "x",
		"no key":        `{"keys":[]}`,
		"short":         `{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":"c2hvcnQ"}]}`,
		"no secret":     `{"keys":[{"kty":"OKP","alg":"EdDSA","kid":"a","x":"AAAA"}]}`,
		"no id":         `{"keys":[{"kty":"oct","alg":"HS256","k":"` + strings.Repeat("A", 43) + `"}]}`,
		"other kind":    `{"keys":[{"kty":"oct","alg":"none","kid":"a","k":"` + strings.Repeat("A", 43) + `"}]}`,
		"not base64url": `{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":"` + strings.Repeat("+", 43) + `"}]}`,
	}
	for name, encoded := range cases {
		if _, err := jwtkey.Parse([]byte(encoded)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := jwtkey.New("RS256"); err == nil {
		t.Error("New accepted an unknown algorithm")
	}
}
