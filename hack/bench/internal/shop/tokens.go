package shop

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ecommerce-stack.dev/hack/internal/local"
)

// Tokens returns access tokens of the users 1 to n, as the auth service would sign them with
// the first key of a JWK Set, which must be for HS256. They are valid longer than any run.
func Tokens(keysFile string, n int, role string) ([]string, error) {
	raw, err := os.ReadFile(keysFile)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct{ Kid, K string }
	}
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) == 0 {
		return nil, fmt.Errorf("%s is not a JWK Set with a key: %w", keysFile, err)
	}
	secret, err := base64.RawURLEncoding.DecodeString(set.Keys[0].K)
	if err != nil {
		return nil, err
	}
	tokens, now := make([]string, n), time.Now()
	for i := range tokens {
		user := strconv.Itoa(i + 1)
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"iss": local.Issuer, "aud": []string{local.Audience}, "sub": user, "jti": "bench-" + user,
			"email": "customer-" + user + "@example.com", "role": role,
			"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(24 * time.Hour).Unix(),
		})
		token.Header["kid"] = set.Keys[0].Kid
		if tokens[i], err = token.SignedString(secret); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}
