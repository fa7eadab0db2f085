package account

import (
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
	// RevokeFamily deletes the tokens of the family: a used token was presented again, so it
	// may have been stolen.
	RevokeFamily
)

// Action returns what to do with t, presented at now, of the user u.
func (t RefreshToken) Action(u User, now time.Time) RefreshAction {
	switch {
	case t.Used, u.Disabled:
		return RevokeFamily
	case !now.Before(t.ExpiresAt):
		return RejectToken
	}
	return RotateToken
}
