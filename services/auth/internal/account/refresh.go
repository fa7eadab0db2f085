package account

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/google/uuid"
)

// refreshBytes of randomness in a refresh token.
const refreshBytes = 32

// RefreshToken is one link of a family: the tokens that came out of one login, each
// in exchange for the one before (OAuth 2.0 Security BCP, RFC 9700, section 4.14.2).
// Only its hash is kept.
type RefreshToken struct {
	Hash      []byte
	Family    uuid.UUID
	UserID    int64
	ExpiresAt time.Time
	Used      bool
}

// newSecret makes a token's text and its hash.
func newSecret() (text string, hash []byte) {
	secret := make([]byte, refreshBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	text = base64.RawURLEncoding.EncodeToString(secret)
	return text, hashSecret(text)
}

// hashSecret needs no salt and no cost: the secret is random and long.
func hashSecret(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// Verdict on a refresh token that somebody presents.
type Verdict int

// The verdicts.
const (
	// Refuse changes nothing.
	Refuse Verdict = iota
	// Rotate marks the token used and makes the next one of its family.
	Rotate
	// Revoke ends the family: a used token came again, so somebody else has it.
	Revoke
)

// Judge decides about t, presented at now for the user it belongs to.
func (t RefreshToken) Judge(u User, now time.Time) Verdict {
	switch {
	case t.Used, u.Disabled:
		return Revoke
	case !now.Before(t.ExpiresAt):
		return Refuse
	}
	return Rotate
}
