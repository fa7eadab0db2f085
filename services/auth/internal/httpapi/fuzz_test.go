package httpapi_test

import (
	"testing"

	"ecommerce-stack.dev/services/internal/server/servertest"
)

func FuzzOperations(f *testing.F) {
	a := start(f)
	servertest.Fuzz(f, a.handler, a.manager)
}
