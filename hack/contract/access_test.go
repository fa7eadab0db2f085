package contract_test

import (
	"testing"

	"ecommerce-stack.dev/hack/internal/contract"
)

// TestTheDocumentGivesAccessAsTheContractDoes is where a new operation has to be
// decided about: it is for managers unless the contract says otherwise.
func TestTheDocumentGivesAccessAsTheContractDoes(t *testing.T) {
	contract.Access(t, target(t))
}

// TestEveryOperationKnowsItsCallers tries each operation with each kind of caller, at
// the gateway and past it.
func TestEveryOperationKnowsItsCallers(t *testing.T) {
	contract.Matrix(t, target(t))
}
