// Package jwtkey implements the JWK Sets (RFC 7517) that sign and verify access tokens.
// Keys are symmetric HS256 keys, or Ed25519 key pairs (RFC 8037) whose private key only the
// signer holds.
package jwtkey

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
)

// Supported values of Key.Algorithm.
const (
	HS256 = "HS256"
	EdDSA = "EdDSA"
)

// Key is a JSON Web Key (RFC 7517, section 4).
type Key struct {
	Type      string `json:"kty"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	ID        string `json:"kid"`
	Curve     string `json:"crv,omitempty"`
	// K is the key value of a symmetric key, base64url-encoded.
	K string `json:"k,omitempty"`
	// X is the public key and D the private key of a key pair, base64url-encoded.
	X string `json:"x,omitempty"`
	D string `json:"d,omitempty"`
}

// Set is a JWK Set (RFC 7517, section 5).
type Set struct {
	Keys []Key `json:"keys"`
}

var base64URL = base64.RawURLEncoding.EncodeToString

// New generates a key of 256 random bits with a random ID. It returns an error if algorithm
// is neither HS256 nor EdDSA.
func New(algorithm string) (Key, error) {
	key := Key{Algorithm: algorithm, Use: "sig", ID: rand.Text()}
	switch algorithm {
	case HS256:
		secret := make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			return Key{}, fmt.Errorf("generate a symmetric key: %w", err)
		}
		key.Type, key.K = "oct", base64URL(secret)
	case EdDSA:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return Key{}, fmt.Errorf("generate a key pair: %w", err)
		}
		key.Type, key.Curve, key.X, key.D = "OKP", "Ed25519", base64URL(public), base64URL(private.Seed())
	default:
		return Key{}, fmt.Errorf("algorithm %q is neither %s nor %s", algorithm, HS256, EdDSA)
	}
	return key, nil
}

// VerifierSet returns the set that verifiers need: the symmetric keys, or the public keys
// without the private keys.
func (s Set) VerifierSet() Set {
	verifier := Set{Keys: make([]Key, len(s.Keys))}
	for i, key := range s.Keys {
		key.D = ""
		verifier.Keys[i] = key
	}
	return verifier
}

// Has reports whether the set contains a key with the given ID.
func (s Set) Has(id string) bool {
	return slices.ContainsFunc(s.Keys, func(k Key) bool { return k.ID == id })
}

// Get returns the key with the given ID, or a Key without one.
func (s Set) Get(id string) Key {
	for _, key := range s.Keys {
		if key.ID == id {
			return key
		}
	}
	return Key{}
}

// Encode returns the JSON encoding of the set. Equal sets have equal encodings.
func (s Set) Encode() ([]byte, error) {
	encoded, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode a JWK Set: %w", err)
	}
	return encoded, nil
}

// Parse decodes a signing set. It returns an error if the set is empty, or if a key has an
// unknown algorithm, no ID, or less than 32 bytes of secret key material.
func Parse(encoded []byte) (Set, error) {
	var set Set
	if err := json.Unmarshal(encoded, &set); err != nil {
		return Set{}, fmt.Errorf("not a JWK Set: %w", err)
	}
	if len(set.Keys) == 0 {
		return Set{}, fmt.Errorf("the JWK Set has no keys")
	}
	for _, key := range set.Keys {
		if err := key.validate(); err != nil {
			return Set{}, fmt.Errorf("key %q: %w", key.ID, err)
		}
	}
	return set, nil
}

func (k Key) validate() error {
	secret := k.K
	switch k.Algorithm {
	case HS256:
	case EdDSA:
		secret = k.D
	default:
		return fmt.Errorf("algorithm %q is neither %s nor %s", k.Algorithm, HS256, EdDSA)
	}
	decoded, err := base64.RawURLEncoding.DecodeString(secret)
	if err != nil {
		// The decoder's error is dropped, because it describes the secret.
		return fmt.Errorf("its secret part is not unpadded base64url")
	}
	if len(decoded) < 32 {
		return fmt.Errorf("its secret part has %d bytes, want at least 32", len(decoded))
	}
	if k.ID == "" {
		return fmt.Errorf("it has no kid")
	}
	return nil
}
