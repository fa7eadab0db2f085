package password

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"
)

// TestDummyIsComparedAsAnyHash checks that a login without an account takes the time of a comparison: bcrypt returns
// at once when it cannot decode a hash.
func TestDummyIsComparedAsAnyHash(t *testing.T) {
	t.Parallel()
	for range 100 {
		h, err := NewHasher(MinCost, 1, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		if err := bcrypt.CompareHashAndPassword(h.dummy, []byte("password")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Fatalf("%s: %v", h.dummy, err)
		}
	}
	if _, err := NewHasher(MaxCost+1, 1, prometheus.NewRegistry()); err == nil {
		t.Error("a cost above the limit is accepted")
	}
}
