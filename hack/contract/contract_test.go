package contract_test

import (
	"testing"

	"ecommerce-stack.dev/hack/internal/contract"
)

// TestContract proves every row and rule, and that the document says nothing that no
// case saw.
func TestContract(t *testing.T) {
	coverage := contract.Run(t, target(t))
	t.Run("every documented answer", func(t *testing.T) {
		for _, missing := range coverage.Missing() {
			t.Errorf("no case got %s", missing)
		}
		t.Logf("%d operations, %d documented answers, %d cases", coverage.Operations(), coverage.Documented(), coverage.Cases())
	})
}
