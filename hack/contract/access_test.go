package contract_test

import (
	"testing"

	"ecommerce-stack.dev/hack/internal/contract"
)

// TestDocumentHasAccessOfContract fails for a new operation until its access is
// decided: operations are for managers unless the contract lists them.
func TestDocumentHasAccessOfContract(t *testing.T) {
	contract.Access(t, target(t))
}

// TestEveryOperationChecksCallers calls each operation as each kind of caller, through
// the gateway and directly.
func TestEveryOperationChecksCallers(t *testing.T) {
	contract.Matrix(t, target(t))
}
