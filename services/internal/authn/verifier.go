// Package authn authenticates callers and authorizes operations. It verifies access tokens
// (JWT, RFC 7519) with the keys in a file, according to RFC 8725, and restricts operations
// to roles. Every service verifies tokens itself and does not rely on the gateway.
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

	"ecommerce-stack.dev/services/internal/bounded"
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

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return r == Client || r == Manager }

// Principal is the caller that a token identifies.
type Principal struct {
	UserID int64
	Email  string
	Role   Role
	// Generation is that of the account when the token was issued.
	Generation int64
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
	// Generation counts the changes of the account that revoke its tokens; see Revocation.
	Generation int64 `json:"gen,omitempty"`
}

// Errors of Verify.
var (
	ErrExpired = errors.New("the token has expired")
	ErrToken   = errors.New("the token is not valid")
)

const (
	// leeway is the tolerated difference between clocks.
	leeway = 5 * time.Second
	// maxToken bounds the size of a token in bytes; ours have about 400.
	maxToken = 4 << 10
	// maxKeysFile bounds the size of a keys file in bytes.
	maxKeysFile = 1 << 20
	// knownTokens is how many verified tokens are cached, in about 4 MiB: a signature costs
	// more than the rest of a request. Expiry and keys are checked each time.
	knownTokens = 8192
)

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	file   string
	parser *jwt.Parser
	keys   atomic.Pointer[keys]
	known  bounded.Cache[known]
	// revoked has the revocations by user; it is nil before the first read.
	revoked atomic.Pointer[map[int64]Revocation]
}

// known is the content of a verified token, and the keys that verified it.
type known struct {
	caller  Principal
	expires time.Time
	keys    *keys
}

type keys struct {
	body []byte
	set  jwk.Set
}

// NewVerifier returns a Verifier with the keys in c.KeysFile.
func NewVerifier(c Config) (*Verifier, error) {
	v := &Verifier{
		file: c.KeysFile,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwk.HS256, jwk.EdDSA}),
			jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience),
			jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithStrictDecoding(),
		),
		known: bounded.New(bounded.Options[known]{Max: knownTokens}),
	}
	if _, err := v.reload(); err != nil {
		return nil, err
	}
	return v, nil
}

// Verify returns the caller that a token identifies. The error is ErrExpired, or wraps
// ErrToken and the reason.
func (v *Verifier) Verify(token string) (Principal, error) { return v.verifyAt(time.Now(), token) }

func (v *Verifier) verifyAt(now time.Time, token string) (Principal, error) {
	if len(token) > maxToken {
		return Principal{}, fmt.Errorf("%w: it exceeds %d bytes", ErrToken, maxToken)
	}
	keys := v.keys.Load()
	if caller, ok := v.cached(token, now); ok {
		return caller, nil
	}
	caller, expires, err := v.verify(token)
	if err == nil {
		v.known.Set(strings.Clone(token), known{caller: caller, expires: expires, keys: keys})
	}
	return caller, err
}

// cached returns the caller of a token that was verified with the current keys and has not
// expired.
func (v *Verifier) cached(token string, now time.Time) (Principal, bool) {
	k, ok := v.known.Get(token)
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

// key returns the key that a token names. It is an error if the token's algorithm is not
// that of the key (RFC 8725, sections 3.1 and 3.2).
func (v *Verifier) key(token *jwt.Token) (any, error) {
	if token.Header["crit"] != nil {
		return nil, errors.New("unsupported critical header parameters") // RFC 7515, section 4.1.11
	}
	kid, ok := token.Header["kid"].(string)
	if !ok {
		return nil, errors.New("no key id")
	}
	key, ok := v.keys.Load().set[kid]
	if !ok {
		return nil, errors.New("unknown key id")
	}
	if token.Method.Alg() != key.Alg {
		return nil, errors.New("the algorithm is not that of the key")
	}
	return key.Verifier, nil
}

func principal(c Claims) (Principal, error) {
	id, err := strconv.ParseInt(c.Subject, 10, 64)
	switch {
	case err != nil || id <= 0 || strconv.FormatInt(id, 10) != c.Subject:
		return Principal{}, fmt.Errorf("%w: the subject is not a user id", ErrToken)
	case !c.Role.Valid():
		return Principal{}, fmt.Errorf("%w: unknown role", ErrToken)
	}
	return Principal{UserID: id, Email: c.Email, Role: c.Role, Generation: c.Generation}, nil
}

// Watch reloads the keys file when it changes, until ctx ends. If it cannot be read, the
// previous keys stay in use.
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
		return nil, fmt.Errorf("%s exceeds %d bytes", file, maxKeysFile)
	}
	return os.ReadFile(file)
}

// PublicKeys returns the JWK Set of the public keys; it has no symmetric key.
func (v *Verifier) PublicKeys() ([]byte, error) { return v.keys.Load().set.Public() }
