package authn_test

import (
	"testing"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
)

func FuzzVerify(f *testing.F) {
	keys := authntest.New(f)
	v, good := keys.Verifier(f), keys.Token(f, 7, authn.Client)
	for _, seed := range []string{good, good[1:], good + ".", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "", "..", keys.TokenWith(f, 0, "x", nil, nil)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if p, err := v.Verify(token); err == nil && token != good {
			t.Fatalf("accepted %q as %+v", token, p)
		}
	})
}
