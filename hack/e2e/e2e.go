// Package e2e holds the end-to-end tests: they drive a stack on a real cluster
// through its gateway, as a client would, and break it as the world does. `make e2e`
// brings the cluster up and runs them.
package e2e
