// Package contract contains the tests of the REST contract against the whole system,
// which runs as local processes: all cases and rules, access control, the delay until
// an update is visible at every gateway. Its folder browser tests the documentation page.
package contract
