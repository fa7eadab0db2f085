// Package tools pins the linters and generators, as tool dependencies of a module
// of their own: what they need does not mix with what the product needs.
//
// Run one with: cd hack/tools && GOWORK=off go tool golangci-lint version
package tools
