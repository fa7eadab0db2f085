package token

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/jwk"
)

// A device cookie is the base64url encoding of version, device id, issue time in Unix seconds, and
// an HMAC-SHA-256 of these and the account's email. The cookie does not contain the email, because
// a login has it.
const (
	deviceVersion  = 1
	devicePayload  = 1 + len(uuid.UUID{}) + 8
	deviceHKDFInfo = "ecommerce-stack device cookie 1 "
)

// deviceCookieLength is the length of a cookie in bytes.
var deviceCookieLength = base64.RawURLEncoding.EncodedLen(devicePayload + sha256.Size)

// deviceKey derives the key of device cookies from a signing key, which itself must sign only
// tokens.
func deviceKey(k jwk.Key) ([]byte, error) {
	var secret []byte
	switch signer := k.Signer.(type) {
	case []byte:
		secret = signer
	case ed25519.PrivateKey:
		secret = signer.Seed()
	}
	key, err := hkdf.Key(sha256.New, secret, nil, deviceHKDFInfo+k.ID, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key of device cookies: %w", err)
	}
	return key, nil
}

func deviceMAC(key, payload []byte, email string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(payload) // of fixed length, so the concatenation is unambiguous
	mac.Write([]byte(email))
	return mac.Sum(nil)
}

// SignDeviceCookie implements account.Signer.
func (s *Signer) SignDeviceCookie(email string, device uuid.UUID, now time.Time) string {
	keys := s.keys.Load()
	payload := append([]byte{deviceVersion}, device[:]...)
	payload = binary.BigEndian.AppendUint64(payload, uint64(now.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(payload, deviceMAC(keys.device[keys.active.ID], payload, email)...))
}

// VerifyDeviceCookie implements account.Signer. A cookie is valid as long as its key is in the
// signing set.
func (s *Signer) VerifyDeviceCookie(cookie, email string, now time.Time) (device uuid.UUID, ok bool) {
	if len(cookie) != deviceCookieLength {
		return uuid.Nil, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || raw[0] != deviceVersion {
		return uuid.Nil, false
	}
	payload, mac := raw[:devicePayload], raw[devicePayload:]
	issued := time.Unix(int64(binary.BigEndian.Uint64(payload[devicePayload-8:])), 0)
	for _, key := range s.keys.Load().device {
		if hmac.Equal(mac, deviceMAC(key, payload, email)) {
			return uuid.UUID(payload[1:17]), now.Sub(issued) < account.DeviceTTL
		}
	}
	return uuid.Nil, false
}
