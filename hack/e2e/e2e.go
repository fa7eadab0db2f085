// Package e2e contains the end-to-end tests, which use a stack in a cluster through its
// gateway and inject faults. `make e2e` starts the cluster and runs them.
package e2e
