// Package tools pins the linters, the generators and mysqld_exporter, as tool dependencies of a module
// of their own: what they need does not mix with what the product needs.
//
// actionlint stays at v1.7.7: later versions do not compile with the version of
// go.yaml.in/yaml/v4 that other tools require.
//
// Run one with: cd hack/tools && GOWORK=off go tool golangci-lint version
package tools
