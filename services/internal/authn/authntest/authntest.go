// Package authntest creates signing keys and valid or invalid tokens for tests.
package authntest

import (
	"crypto/ed25519"
	"crypto/rand"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/jwk"
)

// Issuer and Audience of the tokens.
const (
	Issuer   = "urn:ecommerce-stack:test:stack"
	Audience = Issuer + ":api"
)

// Keys signs tokens. Verifiers read the keys from its file.
type Keys struct {
	// File is the JWK Set of a verifier and SigningFile the one of a signer, which signs with
	// the key whose id is in ActiveFile.
	File, SigningFile, ActiveFile string

	signing jwk.Key
}

// New returns Keys with one Ed25519 key. Its files are removed when the test ends.
func New(t testing.TB) *Keys {
	t.Helper()
	dir := t.TempDir()
	k := &Keys{
		File: filepath.Join(dir, "jwks.json"), SigningFile: filepath.Join(dir, "signing.json"),
		ActiveFile: filepath.Join(dir, "active"),
	}
	k.Write(t, EdKey(t, "test-1"))
	return k
}

// EdKey returns a new Ed25519 key.
func EdKey(t testing.TB, kid string) jwk.Key {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	return jwk.Key{ID: kid, Alg: jwk.EdDSA, Verifier: public, Signer: private}
}

// SymmetricKey returns a new HS256 key.
func SymmetricKey(kid string) jwk.Key {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return jwk.Key{ID: kid, Alg: jwk.HS256, Verifier: secret, Signer: secret}
}

// Write replaces the keys in the files. The first key signs all tokens from now on.
func (k *Keys) Write(t testing.TB, keys ...jwk.Key) {
	t.Helper()
	k.signing = keys[0]
	for file, private := range map[string]bool{k.File: false, k.SigningFile: true} {
		body, err := jwk.Encode(private, keys...)
		if err != nil {
			t.Fatalf("write keys: %v", err)
		}
		replace(t, file, body)
	}
	replace(t, k.ActiveFile, []byte(keys[0].ID+"\n"))
}

// replace replaces a file atomically.
func replace(t testing.TB, file string, body []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", body, 0o600); err != nil {
		t.Fatalf("write keys: %v", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatalf("write keys: %v", err)
	}
}

// Config returns the configuration of a verifier with these keys.
func (k *Keys) Config() authn.Config {
	return authn.Config{Issuer: Issuer, Audience: Audience, KeysFile: k.File}
}

// Verifier returns a verifier with these keys. It does not watch the file.
func (k *Keys) Verifier(t testing.TB) *authn.Verifier {
	t.Helper()
	v, err := authn.NewVerifier(k.Config())
	if err != nil {
		t.Fatalf("make a verifier: %v", err)
	}
	return v
}

// Token returns an access token of a user, valid for an hour.
func (k *Keys) Token(t testing.TB, userID int64, role authn.Role) string {
	t.Helper()
	return k.TokenWith(t, userID, role, nil, nil)
}

// Bearer returns the Authorization header of a user, with a token as of Token.
func (k *Keys) Bearer(t testing.TB, userID int64, role authn.Role) string {
	t.Helper()
	return "Bearer " + k.Token(t, userID, role)
}

// TokenWith returns a token as of Token with some claims and headers replaced; nil removes one.
func (k *Keys) TokenWith(t testing.TB, userID int64, role authn.Role, claims, headers map[string]any) string {
	t.Helper()
	now := time.Now()
	all := jwt.MapClaims{
		"iss": Issuer, "aud": Audience, "sub": authn.Subject(userID), "role": string(role),
		"email": "user" + authn.Subject(userID) + "@example.com", "jti": uuid.NewString(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	override(all, claims)
	token := jwt.NewWithClaims(jwt.GetSigningMethod(k.signing.Alg), all)
	token.Header["kid"] = k.signing.ID
	override(token.Header, headers)
	signed, err := token.SignedString(k.signing.Signer)
	if err != nil {
		t.Fatalf("sign a token: %v", err)
	}
	return signed
}

func override(m, with map[string]any) {
	maps.Copy(m, with)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
}
