package account

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/google/uuid"
)

// refreshTokenBytes is the number of random bytes of a refresh token.
const refreshTokenBytes = 32

// RefreshToken is a stored refresh token, of which only the hash is known. The tokens of one login
// are a family: each was issued in exchange for the previous one (OAuth 2.0 Security BCP, RFC
// 9700, section 4.14.2).
type RefreshToken struct {
	Hash      []byte
	Family    uuid.UUID
	UserID    int64
	ExpiresAt time.Time
	Used      bool
	// Use is the exchange of a used token; zero if a release without a grace period made it.
	Use Use
}

// Use is the exchange of a refresh token for the next one.
type Use struct {
	At time.Time
	// Client identifies who presented the token.
	Client []byte
	// Salt is what the next token was made with; see successor.
	Salt []byte
}

// ClientID returns the Use.Client for an address and a User-Agent.
func ClientID(address, userAgent string) []byte {
	sum := sha256.Sum256([]byte(address + "\n" + userAgent))
	return sum[:]
}

// newSalt returns a new Use.Salt.
func newSalt() []byte {
	salt := make([]byte, refreshTokenBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	return salt
}

// successor returns the token after another one, and its hash. It can be made again from the token,
// which only the client has, and the salt, which only the store has.
func successor(token string, salt []byte) (text string, hash []byte) {
	mac := hmac.New(sha256.New, []byte(token))
	_, _ = mac.Write(salt) // never fails (hash.Hash)
	text = base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	return text, hashRefreshToken(text)
}

// newRefreshToken returns a new token and its hash.
func newRefreshToken() (text string, hash []byte) {
	secret := make([]byte, refreshTokenBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	text = base64.RawURLEncoding.EncodeToString(secret)
	return text, hashRefreshToken(text)
}

// hashRefreshToken returns the hash of a token. It has no salt and a low cost, because the token is
// long and random.
func hashRefreshToken(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// RefreshAction is what the store does with a refresh token that a client presents.
type RefreshAction int

// The actions.
const (
	// RejectToken changes nothing.
	RejectToken RefreshAction = iota
	// RotateToken marks the token as used and adds the next one of its family.
	RotateToken
	// RepeatToken changes nothing: the client that has used the token presents it again within the
	// grace period, as two tabs of a browser do, and gets the same next one.
	RepeatToken
	// RevokeFamily deletes the tokens of the family: a used token was presented again, so it
	// may have been stolen.
	RevokeFamily
)

// Action returns what to do with t, of the user u, which is presented for a use. grace is the time in
// which a use may be repeated; 0 is none.
func (t RefreshToken) Action(u User, use Use, grace time.Duration) RefreshAction {
	switch {
	case u.Disabled:
		return RevokeFamily
	case t.Used && len(t.Use.Salt) > 0 && use.At.Sub(t.Use.At) < grace && bytes.Equal(t.Use.Client, use.Client):
		return RepeatToken
	case t.Used:
		return RevokeFamily
	case !use.At.Before(t.ExpiresAt):
		return RejectToken
	}
	return RotateToken
}
