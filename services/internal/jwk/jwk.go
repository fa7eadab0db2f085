// Package jwk implements JSON Web Key Sets (RFC 7517) with the keys that sign and verify tokens:
// HS256 keys ("oct") and Ed25519 keys ("OKP", RFC 8037). Each key has exactly one algorithm, so that
// a token cannot select another (RFC 8725, section 3.1).
package jwk

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Values of Key.Alg.
const (
	HS256 = "HS256"
	EdDSA = "EdDSA"
)

// minSecretBytes is the minimum size of an HS256 key (RFC 7518, section 3.2).
const minSecretBytes = 32

// ErrInvalid is wrapped by the errors of Parse and Encode.
var ErrInvalid = errors.New("invalid key set")

// Key is one key of a set.
type Key struct {
	ID  string
	Alg string
	// Verifier is the []byte of an HS256 key or the ed25519.PublicKey.
	Verifier any
	// Signer is the []byte of an HS256 key, the ed25519.PrivateKey, or nil if the set has only
	// the public key.
	Signer any
}

// Set has the supported keys of a document by id.
type Set map[string]Key

// member is an element of "keys".
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

// Parse returns the keys of a document. It omits keys of other types (RFC 7517, section 5). It
// returns an error that wraps ErrInvalid if a key of a supported type is invalid, two keys have the
// same id, or there is no supported key. The error does not contain key material.
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
		key, supported, err := m.key()
		if err != nil {
			return nil, fmt.Errorf("%w: key %d (kid %q): %w", ErrInvalid, i, m.Kid, err)
		}
		if !supported {
			continue
		}
		if _, duplicate := set[key.ID]; duplicate {
			return nil, fmt.Errorf("%w: two keys have the kid %q", ErrInvalid, key.ID)
		}
		set[key.ID] = key
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("%w: no supported key", ErrInvalid)
	}
	return set, nil
}

// key returns the key of m, unless its type or use is not supported.
func (m member) key() (k Key, supported bool, err error) {
	k = Key{ID: m.Kid, Alg: m.Alg}
	switch {
	case m.Kty == "oct" && m.Alg == HS256:
		err = m.parseSecret(&k)
	case m.Kty == "OKP" && m.Crv == "Ed25519" && m.Alg == EdDSA:
		err = m.parseEd25519(&k)
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

func (m member) parseSecret(k *Key) error {
	secret, err := base64.RawURLEncoding.DecodeString(m.K)
	if err != nil {
		return errors.New("k is not base64url")
	}
	if len(secret) < minSecretBytes {
		return fmt.Errorf("k has %d bytes, expected at least %d", len(secret), minSecretBytes)
	}
	k.Verifier, k.Signer = secret, secret
	return nil
}

func (m member) parseEd25519(k *Key) error {
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
		return errors.New("d and x are not a key pair")
	}
	k.Signer = private
	return nil
}

// Public returns the document of the public keys. Symmetric keys are omitted.
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

// Encode returns the document of keys, with the private keys of key pairs if private is set. It
// returns an error that wraps ErrInvalid for a key without a Verifier.
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
			return nil, fmt.Errorf("%w: key %q has no verifier", ErrInvalid, k.ID)
		}
		members = append(members, m)
	}
	body, err := json.Marshal(map[string]any{"keys": members})
	if err != nil {
		return nil, fmt.Errorf("encode a key set: %w", err)
	}
	return body, nil
}
