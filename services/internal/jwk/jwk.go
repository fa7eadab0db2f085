// Package jwk reads the JSON Web Key Sets (RFC 7517) that sign and verify the
// stack's tokens: HS256 keys ("oct") and Ed25519 keys ("OKP", RFC 8037). Every key
// names its one algorithm, so that a token cannot choose another (RFC 8725, 3.1).
package jwk

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Algorithms of keys.
const (
	HS256 = "HS256"
	EdDSA = "EdDSA"
)

// minSecret is the least size in bytes of an HS256 key (RFC 7518, section 3.2).
const minSecret = 32

// ErrInvalid is wrapped by every refusal of a key set.
var ErrInvalid = errors.New("invalid key set")

// Key is one key of a set.
type Key struct {
	ID  string
	Alg string
	// Verifier is the []byte of an HS256 key or the ed25519.PublicKey.
	Verifier any
	// Signer is the []byte of an HS256 key, the ed25519.PrivateKey, or nil when the
	// set has only the public half.
	Signer any
}

// Set is the usable keys of a document by id.
type Set map[string]Key

type member struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	Alg string `json:"alg"`
	Use string `json:"use,omitempty"`
	Kid string `json:"kid"`
	K   string `json:"k,omitempty"`
	X   string `json:"x,omitempty"`
	D   string `json:"d,omitempty"`
}

type document struct {
	Keys []json.RawMessage `json:"keys"`
}

// Parse reads a key set. Keys of a type that we do not know are left out (RFC 7517,
// section 5); a broken key of a type we know, two keys of one id, and a set without
// a usable key are errors. No error shows key material.
func Parse(body []byte) (Set, error) {
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("%w: not a JSON object with keys", ErrInvalid)
	}
	set := Set{}
	for i, raw := range doc.Keys {
		var m member
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, fmt.Errorf("%w: key %d is not an object of strings", ErrInvalid, i)
		}
		key, known, err := m.key()
		if err != nil {
			return nil, fmt.Errorf("%w: key %d (kid %q): %w", ErrInvalid, i, m.Kid, err)
		}
		if !known {
			continue
		}
		if _, twice := set[key.ID]; twice {
			return nil, fmt.Errorf("%w: two keys have the kid %q", ErrInvalid, key.ID)
		}
		set[key.ID] = key
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("%w: no usable key", ErrInvalid)
	}
	return set, nil
}

func (m member) key() (k Key, known bool, err error) {
	k = Key{ID: m.Kid, Alg: m.Alg}
	switch {
	case m.Kty == "oct" && m.Alg == HS256:
		err = m.secret(&k)
	case m.Kty == "OKP" && m.Crv == "Ed25519" && m.Alg == EdDSA:
		err = m.pair(&k)
	case m.Alg == "" && (m.Kty == "oct" || m.Kty == "OKP"):
		return k, false, errors.New("has no alg")
	default:
		return k, false, nil
	}
	switch {
	case err != nil:
	case m.Kid == "":
		err = errors.New("has no kid")
	case m.Use != "" && m.Use != "sig":
		return k, false, nil
	}
	return k, true, err
}

func (m member) secret(k *Key) error {
	secret, err := base64.RawURLEncoding.DecodeString(m.K)
	if err != nil {
		return errors.New("k is not base64url")
	}
	if len(secret) < minSecret {
		return fmt.Errorf("k has %d bytes, at least %d are needed", len(secret), minSecret)
	}
	k.Verifier, k.Signer = secret, secret
	return nil
}

func (m member) pair(k *Key) error {
	public, err := base64.RawURLEncoding.DecodeString(m.X)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return fmt.Errorf("x is not %d bytes in base64url", ed25519.PublicKeySize)
	}
	k.Verifier = ed25519.PublicKey(public)
	if m.D == "" {
		return nil
	}
	seed, err := base64.RawURLEncoding.DecodeString(m.D)
	if err != nil || len(seed) != ed25519.SeedSize {
		return fmt.Errorf("d is not %d bytes in base64url", ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(seed)
	if !bytes.Equal(private[ed25519.SeedSize:], public) {
		return errors.New("d and x are not of one pair")
	}
	k.Signer = private
	return nil
}

// Public is the document anyone may read: the public halves. Symmetric keys have
// none and are left out.
func (s Set) Public() ([]byte, error) {
	out := struct {
		Keys []member `json:"keys"`
	}{Keys: []member{}}
	for _, k := range s {
		if public, ok := k.Verifier.(ed25519.PublicKey); ok {
			out.Keys = append(out.Keys, member{
				Kty: "OKP", Crv: "Ed25519", Alg: EdDSA, Use: "sig", Kid: k.ID,
				X: base64.RawURLEncoding.EncodeToString(public),
			})
		}
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode the public keys: %w", err)
	}
	return body, nil
}

// Encode writes keys as a document, with their private parts when private is set.
func Encode(private bool, keys ...Key) ([]byte, error) {
	members := make([]member, 0, len(keys))
	for _, k := range keys {
		m := member{Alg: k.Alg, Use: "sig", Kid: k.ID}
		switch v := k.Verifier.(type) {
		case []byte:
			m.Kty, m.K = "oct", base64.RawURLEncoding.EncodeToString(v)
		case ed25519.PublicKey:
			m.Kty, m.Crv, m.X = "OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(v)
			if signer, ok := k.Signer.(ed25519.PrivateKey); ok && private {
				m.D = base64.RawURLEncoding.EncodeToString(signer.Seed())
			}
		default:
			return nil, fmt.Errorf("%w: key %q has no material", ErrInvalid, k.ID)
		}
		members = append(members, m)
	}
	body, err := json.Marshal(map[string]any{"keys": members})
	if err != nil {
		return nil, fmt.Errorf("encode a key set: %w", err)
	}
	return body, nil
}
