package contract

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Keys signs access tokens as the auth service does.
type Keys struct {
	Issuer, Audience string
	kid              string
	secret           []byte
}

// ReadKeys reads the first symmetric key of the JWK Set in a file.
func ReadKeys(file, issuer, audience string) (*Keys, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct{ Kty, Kid, K string }
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("read the keys in %s: %w", file, err)
	}
	for _, k := range set.Keys {
		if k.Kty != "oct" {
			continue
		}
		secret, err := base64.RawURLEncoding.DecodeString(k.K)
		return &Keys{Issuer: issuer, Audience: audience, kid: k.Kid, secret: secret}, err
	}
	return nil, fmt.Errorf("no symmetric key in %s", file)
}

// signedSession returns a session with a signed access token. The user need not exist.
func (w *testContext) signedSession(id int64, role string) *session {
	w.t.Helper()
	return &session{id: id, access: w.Keys.sign(w.Keys.claims(id, role), nil)}
}

// claims returns the claims of a valid token.
func (k *Keys) claims(id int64, role string) jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"iss": k.Issuer, "aud": []string{k.Audience}, "sub": strconv.FormatInt(id, 10), "email": "someone@example.com", "role": role,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": rand.Text(),
	}
}

// sign signs the claims. change, if it is not nil, can change the token before.
func (k *Keys) sign(claims jwt.MapClaims, change func(t *jwt.Token)) string {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	token.Header["kid"] = k.kid
	var key any = k.secret
	if change != nil {
		change(token)
		if token.Method == jwt.SigningMethodNone {
			key = jwt.UnsafeAllowNoneSignatureType
		}
	}
	text, err := token.SignedString(key)
	if err != nil {
		panic(err) // the key and the claims are constant
	}
	return text
}

// invalidTokens returns invalid tokens by their defect. Otherwise each is a token of
// the user with the role.
func (k *Keys) invalidTokens(id int64, role string) map[string]string {
	with := func(name string, value any) string {
		claims := k.claims(id, role)
		claims[name] = value
		return k.sign(claims, nil)
	}
	headed := func(change func(*jwt.Token)) string { return k.sign(k.claims(id, role), change) }
	otherKeys := &Keys{Issuer: k.Issuer, Audience: k.Audience, kid: k.kid, secret: []byte(rand.Text() + rand.Text())}
	good := k.sign(k.claims(id, role), nil)
	parts := strings.Split(good, ".")
	return map[string]string{
		"garbage":            "garbage",
		"expired":            with("exp", time.Now().Add(-time.Minute).Unix()),
		"without expiry":     with("exp", nil),
		"not yet valid":      with("nbf", time.Now().Add(time.Hour).Unix()),
		"wrong issuer":       with("iss", "urn:other"),
		"wrong audience":     with("aud", "urn:other"),
		"without subject":    with("sub", nil),
		"subject 0":          with("sub", "0"),
		"unknown role":       with("role", "Admin"),
		"unknown kid":        headed(func(t *jwt.Token) { t.Header["kid"] = "other" }),
		"without kid":        headed(func(t *jwt.Token) { delete(t.Header, "kid") }),
		"alg none":           headed(func(t *jwt.Token) { t.Method = jwt.SigningMethodNone; t.Header["alg"] = "none" }),
		"alg HS512":          headed(func(t *jwt.Token) { t.Method = jwt.SigningMethodHS512; t.Header["alg"] = "HS512" }),
		"another key":        otherKeys.sign(otherKeys.claims(id, role), nil),
		"tampered claims":    parts[0] + "." + encodeClaims(k.claims(id+1, role)) + "." + parts[2],
		"tampered signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"no signature":       parts[0] + "." + parts[1] + ".",
		"too long":           strings.Repeat("x", 5<<10),
	}
}

func encodeClaims(claims jwt.MapClaims) string {
	raw, err := json.Marshal(claims)
	if err != nil {
		panic(err) // the claims can always be encoded
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}
