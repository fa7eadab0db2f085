package shop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"ecommerce-stack.dev/hack/internal/local"
)

// tokenTTL is longer than any run.
const tokenTTL = 24 * time.Hour

// Signer signs access tokens as the auth service does, without a login for each customer.
type Signer struct {
	kid    string
	secret []byte
}

// NewSigner returns a signer with the HS256 key of a JWK Set.
func NewSigner(keysFile string) (*Signer, error) {
	raw, err := os.ReadFile(keysFile)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct{ Kid, Alg, K string }
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("read the keys in %s: %w", keysFile, err)
	}
	for _, k := range set.Keys {
		if k.Alg == "HS256" {
			secret, err := base64.RawURLEncoding.DecodeString(k.K)
			return &Signer{k.Kid, secret}, err
		}
	}
	return nil, errors.New("the system has no HS256 key to sign tokens with")
}

// Token returns the access token of a user.
func (s *Signer) Token(user int64, role string) string {
	now := time.Now()
	signed := segment(map[string]string{"alg": "HS256", "typ": "JWT", "kid": s.kid}) + "." + segment(map[string]any{
		"iss": local.Issuer, "aud": []string{local.Audience}, "sub": strconv.FormatInt(user, 10), "jti": fmt.Sprintf("bench-%d", user),
		"email": fmt.Sprintf("customer-%d@example.com", user), "role": role,
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(tokenTTL).Unix(),
	})
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func segment(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // Strings and numbers can always be encoded.
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}
