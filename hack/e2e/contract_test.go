package e2e

import (
	"testing"

	"ecommerce-stack.dev/hack/internal/contract"
)

// TestTheContractHoldsOnTheCluster proves the rows and rules through the real
// gateway, as far as that goes without keys, without faults, and within the limits
// of one address.
func TestTheContractHoldsOnTheCluster(t *testing.T) {
	email, password := managerOf(t)
	coverage := contract.Run(t, contract.Target{URL: gatewayURL, ManagerEmail: email, ManagerPassword: password})
	t.Logf("%d cases of %d operations", coverage.Cases(), coverage.Operations())
}
