//go:build !race

// The race detector allocates, too.

package authn_test

import (
	"testing"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
)

// TestCachedTokenIsVerifiedWithoutAllocation is not parallel: what other tests allocate would
// count.
func TestCachedTokenIsVerifiedWithoutAllocation(t *testing.T) { //nolint:paralleltest // see above
	keys := authntest.New(t)
	v, token := keys.Verifier(t), keys.Token(t, 7, authn.Client)
	if got := testing.AllocsPerRun(500, func() {
		if _, err := v.Verify(token); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("%.0f allocations, want none", got)
	}
}
