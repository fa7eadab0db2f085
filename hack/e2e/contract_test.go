package e2e

import (
	"testing"

	"ecommerce-stack.dev/hack/internal/contract"
)

// TestContract runs the cases and rules that need no signing keys, no faults and no
// separate client addresses.
func TestContract(t *testing.T) {
	email, password := managerCredentials(t, namespace)
	coverage := contract.Run(t, contract.Target{URL: gatewayURL, ManagerEmail: email, ManagerPassword: password})
	t.Logf("%d cases of %d operations", coverage.Cases(), coverage.Operations())
}
