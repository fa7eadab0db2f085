// Package authn says who is calling. It verifies access tokens (JWT, RFC 7519)
// against a file of keys after the practices of RFC 8725, and lets an operation
// demand a role. Every service does it for itself: the gateway is not the only
// wall.
package authn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maypok86/otter/v2"

	"ecommerce-stack.dev/services/internal/jwk"
	"ecommerce-stack.dev/services/internal/reload"
)

// Role of a user.
type Role string

// The roles.
const (
	Client  Role = "Client"
	Manager Role = "Manager"
)

// Valid says whether r is a role we know.
func (r Role) Valid() bool { return r == Client || r == Manager }

// Principal is the caller that a token names.
type Principal struct {
	UserID int64
	Email  string
	Role   Role
}

// Config of a Verifier.
type Config struct {
	Issuer   string `env:"JWT_ISSUER,required,notEmpty"`
	Audience string `env:"JWT_AUDIENCE,required,notEmpty"`
	KeysFile string `env:"JWT_KEYS_FILE,required,notEmpty"`
}

// Claims of an access token. The subject is the user's id in decimal.
type Claims struct {
	jwt.RegisteredClaims
	Email string `json:"email"`
	Role  Role   `json:"role"`
}

// Reasons for which a token is refused.
var (
	ErrExpired = errors.New("the token has expired")
	ErrToken   = errors.New("the token is not valid")
)

const (
	// leeway allows for clocks that differ.
	leeway = 5 * time.Second
	// maxToken bounds the work that a token can ask for; ours have about 400 bytes.
	maxToken = 4 << 10
	// maxKeysFile bounds what is read of a keys file.
	maxKeysFile = 1 << 20
	// knownTokens that were verified are remembered, some 4 MiB of them: a signature costs
	// more than all the rest of a request. Their expiry and the keys are looked at each
	// time.
	knownTokens = 8192
)

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	file   string
	parser *jwt.Parser
	keys   atomic.Pointer[keys]
	known  *otter.Cache[string, known]
}

// known is what a verified token said, and by which keys.
type known struct {
	caller  Principal
	expires time.Time
	keys    *keys
}

type keys struct {
	body []byte
	set  jwk.Set
}

// NewVerifier reads the keys file.
func NewVerifier(c Config) (*Verifier, error) {
	v := &Verifier{
		file: c.KeysFile,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwk.HS256, jwk.EdDSA}),
			jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience),
			jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithStrictDecoding(),
		),
	}
	if _, err := v.reload(); err != nil {
		return nil, err
	}
	var err error
	v.known, err = otter.New(&otter.Options[string, known]{MaximumSize: knownTokens})
	if err != nil {
		return nil, fmt.Errorf("make room for tokens: %w", err)
	}
	return v, nil
}

// Verify gives the caller that token names, or ErrExpired or ErrToken wrapped
// around what is wrong with it.
func (v *Verifier) Verify(token string) (Principal, error) { return v.verifyAt(time.Now(), token) }

func (v *Verifier) verifyAt(now time.Time, token string) (Principal, error) {
	if len(token) > maxToken {
		return Principal{}, fmt.Errorf("%w: it has more than %d bytes", ErrToken, maxToken)
	}
	keys := v.keys.Load()
	if caller, ok := v.remember(token, now); ok {
		return caller, nil
	}
	caller, expires, err := v.verify(token)
	if err == nil {
		v.known.Set(strings.Clone(token), known{caller: caller, expires: expires, keys: keys})
	}
	return caller, err
}

// remember gives the caller of a token that was verified with the keys of now, and has not
// expired.
func (v *Verifier) remember(token string, now time.Time) (Principal, bool) {
	k, ok := v.known.GetIfPresent(token)
	if !ok || k.keys != v.keys.Load() || !now.Before(k.expires) {
		return Principal{}, false
	}
	return k.caller, true
}

func (v *Verifier) verify(token string) (Principal, time.Time, error) {
	var claims Claims
	if _, err := v.parser.ParseWithClaims(token, &claims, v.key); err != nil {
		if errors.Is(err, jwt.ErrTokenExpired) {
			return Principal{}, time.Time{}, ErrExpired
		}
		return Principal{}, time.Time{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	caller, err := principal(claims)
	return caller, claims.ExpiresAt.Time, err
}

// key finds the key a token names and refuses it for an algorithm that is not the
// key's own (RFC 8725, sections 3.1 and 3.2).
func (v *Verifier) key(token *jwt.Token) (any, error) {
	if token.Header["crit"] != nil {
		return nil, errors.New("it demands what we do not know") // RFC 7515, section 4.1.11
	}
	kid, ok := token.Header["kid"].(string)
	if !ok {
		return nil, errors.New("it names no key")
	}
	key, ok := v.keys.Load().set[kid]
	if !ok {
		return nil, errors.New("its key is unknown")
	}
	if token.Method.Alg() != key.Alg {
		return nil, errors.New("its algorithm is not the one of its key")
	}
	return key.Verifier, nil
}

func principal(c Claims) (Principal, error) {
	id, err := strconv.ParseInt(c.Subject, 10, 64)
	switch {
	case err != nil || id <= 0 || strconv.FormatInt(id, 10) != c.Subject:
		return Principal{}, fmt.Errorf("%w: its subject is not a user", ErrToken)
	case !c.Role.Valid():
		return Principal{}, fmt.Errorf("%w: its role is unknown", ErrToken)
	}
	return Principal{UserID: id, Email: c.Email, Role: c.Role}, nil
}

// Watch reads the keys file again whenever it changes, until ctx ends. Keys that
// cannot be read change nothing.
func (v *Verifier) Watch(ctx context.Context, log *slog.Logger) {
	reload.Watch(ctx, log, "keys that verify tokens", v.reload)
}

func (v *Verifier) reload() (changed bool, err error) {
	body, err := readBounded(v.file)
	if err != nil {
		return false, fmt.Errorf("read the keys: %w", err)
	}
	if old := v.keys.Load(); old != nil && bytes.Equal(old.body, body) {
		return false, nil
	}
	set, err := jwk.Parse(body)
	if err != nil {
		return false, fmt.Errorf("read the keys in %s: %w", v.file, err)
	}
	v.keys.Store(&keys{body: body, set: set})
	return true, nil
}

func readBounded(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKeysFile {
		return nil, fmt.Errorf("%s has more than %d bytes", file, maxKeysFile)
	}
	return os.ReadFile(file)
}

// PublicKeys is the JWK Set that anyone may read: no symmetric key is in it.
func (v *Verifier) PublicKeys() ([]byte, error) { return v.keys.Load().set.Public() }
