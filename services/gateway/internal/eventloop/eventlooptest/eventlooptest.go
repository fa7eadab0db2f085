// Package eventlooptest starts event loops for tests.
package eventlooptest

import (
	"errors"
	"testing"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
)

// Start starts two loops, which end with the test; nil where there are none.
func Start(t testing.TB) *eventloop.Group {
	t.Helper()
	loops, err := eventloop.Start(2)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(loops.Close)
	return loops
}
