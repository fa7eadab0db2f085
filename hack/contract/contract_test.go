package contract_test

import (
	"testing"

	"ecommerce-stack.dev/hack/internal/contract"
)

// TestContract runs all cases and rules, and checks that a case returned every
// documented response.
func TestContract(t *testing.T) {
	coverage := contract.Run(t, target(t))
	t.Run("every documented response", func(t *testing.T) {
		for _, missing := range coverage.Missing() {
			t.Errorf("no case returned %s", missing)
		}
		t.Logf("%d operations, %d documented responses, %d cases", coverage.Operations(), coverage.Documented(), coverage.Cases())
	})
}
