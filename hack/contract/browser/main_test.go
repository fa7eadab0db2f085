// Package browser tests the page of the documentation in a browser, against the whole system.
package browser_test

import (
	"testing"

	"ecommerce-stack.dev/hack/internal/local"
)

// startSystem starts the system and stops it when the test ends.
func startSystem(t *testing.T) *local.System {
	t.Helper()
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	s, err := local.Start(t.Context(), local.Options{Root: "../../..", Env: []string{"BCRYPT_COST=4"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}
