// Package token signs access tokens and device cookies with the key that is active now.
package token

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/jwk"
	"ecommerce-stack.dev/services/internal/reload"
)

// Config of a Signer.
type Config struct {
	// SigningFile is a JWK Set with private or symmetric keys, ActiveFile holds the kid
	// of the one that signs.
	SigningFile string `env:"JWT_SIGNING_FILE,required,notEmpty"`
	ActiveFile  string `env:"JWT_ACTIVE_FILE,required,notEmpty"`
	// TTL of a token. It also bounds how long a disabled user's token works.
	TTL time.Duration `env:"ACCESS_TOKEN_TTL" envDefault:"15m"`
}

// Signer makes tokens and device cookies. It is safe for concurrent use.
type Signer struct {
	config           Config
	issuer, audience string
	keys             atomic.Pointer[keys]
}

// keys of the files: the active one signs tokens, and every kid has a key for device
// cookies.
type keys struct {
	active jwk.Key
	device map[string][]byte
}

// NewSigner reads the files.
func NewSigner(c Config, issuer, audience string) (*Signer, error) {
	s := &Signer{config: c, issuer: issuer, audience: audience}
	keys, err := s.read()
	if err != nil {
		return nil, err
	}
	s.keys.Store(keys)
	return s, nil
}

func (s *Signer) read() (*keys, error) {
	body, err := os.ReadFile(s.config.SigningFile)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	set, err := jwk.Parse(body)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys in %s: %w", s.config.SigningFile, err)
	}
	active, err := os.ReadFile(s.config.ActiveFile)
	if err != nil {
		return nil, fmt.Errorf("read which key signs: %w", err)
	}
	kid := strings.TrimSpace(string(active))
	key, ok := set[kid]
	if !ok || key.Signer == nil {
		return nil, fmt.Errorf("%s names the key %.64q, which %s cannot sign with", s.config.ActiveFile, kid, s.config.SigningFile)
	}
	out := &keys{active: key, device: map[string][]byte{}}
	for _, k := range set {
		if k.Signer == nil {
			continue
		}
		if out.device[k.ID], err = deviceKey(k); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Watch changes to another key when the files say so, until ctx ends. Files that
// cannot be read change nothing.
func (s *Signer) Watch(ctx context.Context, log *slog.Logger) {
	reload.Watch(ctx, log, "key that signs tokens", func() (bool, error) {
		keys, err := s.read()
		if err != nil {
			return false, err
		}
		return s.keys.Swap(keys).active.ID != keys.active.ID, nil
	})
}

// Sign implements account.Signer.
func (s *Signer) Sign(u account.User, now time.Time) (string, time.Duration, error) {
	key := s.keys.Load().active
	token := jwt.NewWithClaims(jwt.GetSigningMethod(key.Alg), authn.Claims{
		Email: u.Email, Role: u.Role,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.issuer, Audience: jwt.ClaimStrings{s.audience}, Subject: authn.Subject(u.ID), ID: uuid.NewString(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(s.config.TTL)),
		},
	})
	token.Header["kid"] = key.ID
	signed, err := token.SignedString(key.Signer)
	if err != nil {
		return "", 0, fmt.Errorf("sign a token: %w", err)
	}
	return signed, s.config.TTL, nil
}

var _ account.Signer = (*Signer)(nil)
