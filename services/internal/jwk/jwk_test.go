package jwk_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"ecommerce-stack.dev/services/internal/jwk"
)

func keys(t *testing.T) (symmetric, pair jwk.Key) {
	t.Helper()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jwk.Key{ID: "h1", Alg: jwk.HS256, Verifier: secret, Signer: secret},
		jwk.Key{ID: "e1", Alg: jwk.EdDSA, Verifier: public, Signer: private}
}

func TestEncodedKeysAreParsed(t *testing.T) {
	t.Parallel()
	symmetric, pair := keys(t)
	body, err := jwk.Encode(true, symmetric, pair)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwk.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	if got := set["h1"]; got.Alg != jwk.HS256 || !bytes.Equal(got.Signer.([]byte), symmetric.Signer.([]byte)) {
		t.Errorf("the HS256 key is parsed as %+v", got.Alg)
	}
	if got := set["e1"]; got.Alg != jwk.EdDSA || !pair.Signer.(ed25519.PrivateKey).Equal(got.Signer.(ed25519.PrivateKey)) {
		t.Error("the parsed Ed25519 key pair differs")
	}
}

func TestPublicDocumentHasNoSecret(t *testing.T) {
	t.Parallel()
	symmetric, pair := keys(t)
	body, err := jwk.Set{"h1": symmetric, "e1": pair}.Public()
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwk.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(set) != 1 || set["e1"].Signer != nil || strings.Contains(string(body), `"d"`) || strings.Contains(string(body), `"k"`) {
		t.Errorf("public document: %s", body)
	}
	if body, err = (jwk.Set{"h1": symmetric}).Public(); err != nil || string(body) != `{"keys":[]}` {
		t.Errorf("public document of symmetric keys: %s, %v", body, err)
	}
}

func TestErrorForInvalidSetHasNoKeyMaterial(t *testing.T) {
	t.Parallel()
	long := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte("s"), 32))
	for name, body := range map[string]string{
		"not JSON":        `{`,
		"empty":           `{"keys":[]}`,
		"only unknown":    `{"keys":[{"kty":"RSA","alg":"RS256","kid":"r"}]}`,
		"no alg":          `{"keys":[{"kty":"oct","kid":"a","k":"` + long + `"}]}`,
		"no kid":          `{"keys":[{"kty":"oct","alg":"HS256","k":"` + long + `"}]}`,
		"short secret":    `{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":"c2hvcnQ"}]}`,
		"not base64url":   `{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":"!!"}]}`,
		"encryption key":  `{"keys":[{"kty":"oct","alg":"HS256","use":"enc","kid":"a","k":"` + long + `"}]}`,
		"two of one id":   `{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":"` + long + `"},{"kty":"oct","alg":"HS256","kid":"a","k":"` + long + `"}]}`,
		"foreign private": `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"a","x":"` + long + `","d":"` + long + `"}]}`,
	} {
		_, err := jwk.Parse([]byte(body))
		if !errors.Is(err, jwk.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
		if err != nil && strings.Contains(err.Error(), long) {
			t.Errorf("%s: the error contains the key", name)
		}
	}
}
