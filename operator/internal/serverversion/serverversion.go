// Package serverversion compares the version of a server with the one that the services need.
package serverversion

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
)

// TooOldError is returned for a server that is too old. Only a person can upgrade it.
type TooOldError struct{ Observed, Required string }

// Error names both versions.
func (e *TooOldError) Error() string {
	return fmt.Sprintf("its version is %s, but the services need %s or later: upgrade the server", e.Observed, e.Required)
}

// Check returns a *TooOldError if the observed version of a product is lower than the required
// one. It accepts a version that it cannot parse.
func Check(product, observed, required string) error {
	parsed, err := version.ParseGeneric(observed)
	if err == nil && parsed.LessThan(version.MustParseGeneric(required)) {
		return &TooOldError{Observed: observed, Required: product + " " + required}
	}
	return nil
}
