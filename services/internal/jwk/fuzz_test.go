package jwk_test

import (
	"errors"
	"testing"

	"ecommerce-stack.dev/services/internal/jwk"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":"c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"a","x":"c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M"}]}`,
		`{"keys":[null]}`, `{"keys":7}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		set, err := jwk.Parse(body)
		if err != nil {
			if !errors.Is(err, jwk.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			return
		}
		for kid, k := range set {
			if kid == "" || kid != k.ID || k.Verifier == nil || (k.Alg != jwk.HS256 && k.Alg != jwk.EdDSA) {
				t.Fatalf("key %q is %q of %q", kid, k.ID, k.Alg)
			}
		}
	})
}
