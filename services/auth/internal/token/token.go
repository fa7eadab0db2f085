// Package token implements account.Signer: it signs access tokens and device cookies with the
// active key of a JWK Set that can be rotated.
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
	// SigningFile is a JWK Set with private or symmetric keys. ActiveFile has the kid of the
	// one that signs.
	SigningFile string `env:"JWT_SIGNING_FILE,required,notEmpty"`
	ActiveFile  string `env:"JWT_ACTIVE_FILE,required,notEmpty"`
	// TTL is the lifetime of an access token, also of a revoked one, which remains valid for reads.
	TTL time.Duration `env:"ACCESS_TOKEN_TTL" envDefault:"15m"`
}

// Signer signs tokens and device cookies. It is safe for concurrent use.
type Signer struct {
	config           Config
	issuer, audience string
	keys             atomic.Pointer[keys]
}

// keys are the contents of the files: the key that signs tokens, and the keys of device cookies by
// kid.
type keys struct {
	active jwk.Key
	device map[string][]byte
}

// NewSigner returns a Signer with the keys of the files in c.
func NewSigner(c Config, issuer, audience string) (*Signer, error) {
	s := &Signer{config: c, issuer: issuer, audience: audience}
	keys, err := s.load()
	if err != nil {
		return nil, err
	}
	s.keys.Store(keys)
	return s, nil
}

func (s *Signer) load() (*keys, error) {
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
		return nil, fmt.Errorf("read the id of the active key: %w", err)
	}
	kid := strings.TrimSpace(string(active))
	key, ok := set[kid]
	if !ok || key.Signer == nil {
		return nil, fmt.Errorf("the active key of %s, %.64q, is not a signing key of %s", s.config.ActiveFile, kid, s.config.SigningFile)
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

// Watch reloads the keys when the files change, until ctx ends. If the files are invalid, it logs
// that and continues with the current keys.
func (s *Signer) Watch(ctx context.Context, log *slog.Logger) {
	reload.Watch(ctx, log, "signing key", func() (bool, error) {
		keys, err := s.load()
		if err != nil {
			return false, err
		}
		return s.keys.Swap(keys).active.ID != keys.active.ID, nil
	})
}

// ActiveKey returns the id of the key that signs.
func (s *Signer) ActiveKey() string { return s.keys.Load().active.ID }

// Sign implements account.Signer.
func (s *Signer) Sign(u account.User, now time.Time) (string, time.Duration, error) {
	key := s.keys.Load().active
	token := jwt.NewWithClaims(jwt.GetSigningMethod(key.Alg), authn.Claims{
		Email: u.Email, Role: u.Role, Generation: u.Generation,
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
